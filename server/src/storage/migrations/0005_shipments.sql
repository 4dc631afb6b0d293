-- Up Migration

-- A shipment is a carrier and its tracking number. The two keys are these in the form they are compared in (tracking-key.ts makes
-- them: upper case, without spaces and dashes); its home is the bucket of `carrier_key/tracking_key`. Keys begin with the number, so
-- that one index finds a shipment with and without its carrier; "C" compares bytes, whatever the locale of the database.
create table shipments (
  tracking_key text collate "C" not null check (tracking_key <> ''),
  carrier_key text collate "C" not null check (carrier_key <> ''),
  bucket smallint not null check (bucket = bucket_of(carrier_key || '/' || tracking_key)),
  -- version 7: the time bits are created_at, rand_a is the bucket. Lists are ordered by it: it never changes.
  shipment_id uuid not null check (bucket = bucket_of_id(shipment_id)),
  -- both as given
  carrier text not null,
  tracking_number text not null,
  -- as given, with what could be read out of it; a country is ISO 3166-1 alpha-2
  sender_address text,
  sender_street text,
  sender_postal_code text,
  sender_city text,
  sender_country text,
  receiver_address text,
  receiver_street text,
  receiver_postal_code text,
  receiver_city text,
  receiver_country text,
  -- receiver_city as it is compared: lower case, without accents
  receiver_city_key text collate "C",
  currency text not null,
  order_id uuid,
  expected_on date,
  -- what the events say: `milliard verify shipments` compares the two. The four are null while no event decides.
  status text not null check (status in ('pre_transit', 'in_transit', 'out_for_delivery', 'available_for_pickup', 'delivered',
    'exception', 'returning', 'returned', 'cancelled', 'unknown')),
  status_code text,
  status_at timestamptz(3),
  status_seq integer,
  -- the highest seq of any event, 0 before the first
  last_seq integer not null,
  -- when it was last seen to move: the newest event of a moving kind, else created_at
  moved_at timestamptz(3) not null,
  -- the code a file said last: the same file again is no news
  imported_status text,
  -- the first 16 bytes of SHA-256 over the canonical submitted fields; null for those that came with a file
  content_hash bytea,
  -- rises with every change
  version integer not null,
  created_at timestamptz(3) not null,
  updated_at timestamptz(3) not null,
  primary key (tracking_key, carrier_key, bucket)
);
-- The ways of lists (shipment-conditions-queries.ts), each in the order of the list; a change of a shipment writes all of them, so
-- they are few. There is none of the id alone, of a carrier or of a country: the stretches of their ten statuses, merged, are those.
-- A collation of their own keeps two of them out of what they are not for. A plan for any country would rather walk a status and
-- leave out all other countries where these are few (200,000 rows read for the 4 of a rare one); a plan of a look-up made while
-- there are a handful of shipments might walk a carrier.
create index shipments_status on shipments (status collate "C", shipment_id);
create index shipments_carrier on shipments (carrier_key collate "POSIX", status, shipment_id);
create index shipments_country on shipments (receiver_country, status, shipment_id);
create index shipments_city on shipments (receiver_city_key, coalesce(receiver_country, ''), status, shipment_id);
create index shipments_order on shipments (order_id, shipment_id) where order_id is not null;
create index shipments_updated on shipments (updated_at, shipment_id);
-- From when on those that still travel need attention, by 5 days of silence: attentionFrom in shipment-attention.ts is the same.
create index shipments_attention on shipments (least(case when status = 'exception' then status_at at time zone 'UTC' end,
    moved_at at time zone 'UTC' + interval '5 days', (expected_on + 1)::timestamp), shipment_id)
  where status not in ('delivered', 'returned', 'cancelled');

create table shipment_articles (
  tracking_key text collate "C" not null,
  carrier_key text collate "C" not null,
  bucket smallint not null,
  -- what an article is known by: `s:` and its SKU, or `n:` and its name where it has none
  article_key text collate "C" not null,
  position integer not null,
  name text not null,
  quantity integer not null check (quantity > 0),
  -- in minor units of the shipment's currency
  unit_price_minor bigint check (unit_price_minor >= 0),
  sku text,
  primary key (tracking_key, carrier_key, bucket, article_key)
);

-- The truth: append-only. What identifies an event is its instant and its code as given, so its key is the primary key; seq
-- numbers a shipment's events in the order they were recorded (given under the lock of the shipment's row) and breaks ties.
create table shipment_events (
  tracking_key text collate "C" not null,
  carrier_key text collate "C" not null,
  bucket smallint not null,
  seq integer not null check (seq > 0),
  occurred_at timestamptz(3) not null,
  code text collate "C" not null,
  -- what the code meant when it was recorded, and whether it begins a new leg: only then does it move a delivered shipment
  status text not null check (status in ('pre_transit', 'in_transit', 'out_for_delivery', 'available_for_pickup', 'delivered',
    'exception', 'returning', 'returned', 'cancelled', 'unknown')),
  new_leg boolean not null,
  recorded_at timestamptz(3) not null,
  description text,
  city text,
  country text,
  actor text not null,
  primary key (tracking_key, carrier_key, bucket, occurred_at, code)
);
