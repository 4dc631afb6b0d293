-- Up Migration

-- What can be used and in which unit it is counted. Units are never added to one another.
create table usage_types (
  usage_type text collate "C" primary key,
  unit text not null,
  created_at timestamptz(3) not null default now()
);
insert into usage_types (usage_type, unit) values ('data', 'kilobytes'), ('voice', 'seconds');

-- What is known of a subscription beside its usage. Usage of an unknown one is accepted.
create table subscriptions (
  subscription_id text collate "C" not null,
  bucket smallint not null,
  provider text,
  status text not null check (status in ('new', 'active', 'suspended', 'expired')),
  plan text,
  created_at timestamptz(3) not null,
  updated_at timestamptz(3) not null,
  primary key (subscription_id, bucket)
);

-- The ledger: one row a batch, written in the transaction of its raw rows or adjustments. The rollup works through the open ones;
-- a row of the ledger that is visible means that all its rows are.
create table usage_batches (
  -- milliseconds of its making, 22 bits that differ: made by the server before the transaction
  batch_id bigint primary key,
  kind text not null check (kind in ('records', 'adjustments', 'direct')),
  actor text not null,
  -- what the producer calls its upload (Idempotency-Key), and which part of it this is
  producer_key text,
  part integer not null check (part > 0),
  -- SHA-256 over the bytes of the part as they were sent
  content_hash bytea,
  -- rows of usage_records (kind records, direct) or usage_adjustments
  rows integer not null check (rows >= 0),
  -- what was answered: {accepted, duplicates, rejected_rows, rejected: [{line, code, detail}] (bounded), lines}
  outcome jsonb,
  -- UTC days that its rows may lie in; null = it has none
  first_day date,
  last_day date,
  created_at timestamptz(3) not null,
  -- when the sums had it; null = open
  rolled_up_at timestamptz(3)
) with (fillfactor = 80);
create unique index usage_batches_producer_key on usage_batches (actor, producer_key, part) where producer_key is not null;
create index usage_batches_open on usage_batches (batch_id) where rolled_up_at is null;
create index usage_batches_last_day on usage_batches (last_day);

-- Which days may still have raw rows. One row; an ingest reads it FOR SHARE, a drop of raw days moves it first.
create table usage_horizon (
  singleton boolean primary key check (singleton),
  -- usage of an earlier UTC day is refused as `too_old`
  raw_from date not null,
  -- the latest raw_from that raw rows were dropped behind: raw_from may be moved back to it, never further
  dropped_before date,
  moved_at timestamptz(3) not null
);

-- What was checked before the raw rows of a day were dropped.
create table usage_day_drops (
  day date primary key,
  raw_rows bigint not null,
  differences bigint not null,
  checked_at timestamptz(3) not null,
  dropped_at timestamptz(3),
  actor text not null
);

-- Raw usage, one partition a UTC day, insert-only: what changes afterwards is an adjustment. Columns in the order that wastes no
-- bytes on alignment. The key begins with the bucket: rows of a batch arrive in its order, so that neighbours meet.
create table usage_records (
  batch_id bigint not null,
  used bigint not null check (used >= 0),
  used_at timestamptz(3) not null,
  day date not null,
  bucket smallint not null,
  usage_type text collate "C" not null,
  subscription_id text collate "C" not null,
  record_id text collate "C" not null,
  -- NaN and Infinity are above every number
  price numeric not null check (price >= 0 and price < 1000000000000),
  primary key (bucket, subscription_id, record_id, day)
) partition by range (day);
create index usage_records_batch on usage_records using brin (batch_id) with (pages_per_range = 32);

-- Signed differences to the sums: corrections of records and adjustments of days whose raw rows are gone. Kept. In the bucket of
-- the subscription whose sums change.
create table usage_adjustments (
  batch_id bigint not null,
  day date not null,
  bucket smallint not null,
  -- a correction that moves a record to other sums takes from one (0) and gives to the other (1)
  side smallint not null check (side in (0, 1)),
  revision integer not null check (revision > 0),
  records_delta integer not null,
  usage_type text collate "C" not null,
  subscription_id text collate "C" not null,
  source text not null check (source in ('correction', 'adjustment', 'direct')),
  -- of an adjustment its id, of a correction the record: ["subscription_id","record_id","day"]
  reference text collate "C" not null,
  used_delta numeric not null,
  price_delta numeric not null,
  reason text,
  actor text not null,
  recorded_at timestamptz(3) not null,
  content_hash bytea,
  primary key (bucket, subscription_id, source, reference, revision, side)
);
create index usage_adjustments_batch on usage_adjustments (batch_id);
create index usage_adjustments_day on usage_adjustments (day);

-- What each revision of a record says. In the bucket of the record as it was sent, wherever it was moved since.
create table usage_corrections (
  bucket smallint not null,
  day date not null,
  revision integer not null check (revision > 0),
  subscription_id text collate "C" not null,
  record_id text collate "C" not null,
  deleted boolean not null,
  -- the record from this revision on
  new_subscription_id text collate "C" not null,
  new_usage_type text collate "C" not null,
  new_used_at timestamptz(3) not null,
  new_used bigint not null check (new_used >= 0),
  new_price numeric not null check (new_price >= 0 and new_price < 1000000000000),
  reason text,
  actor text not null,
  recorded_at timestamptz(3) not null,
  content_hash bytea not null,
  batch_id bigint not null,
  primary key (bucket, subscription_id, record_id, day, revision)
);

-- The sums of a day, kept for years. Monthly partitions; room on the pages for updates in place.
create table usage_daily (
  day date not null,
  bucket smallint not null,
  usage_type text collate "C" not null,
  subscription_id text collate "C" not null,
  records bigint not null,
  total_used numeric not null,
  total_price numeric not null,
  primary key (subscription_id, usage_type, day, bucket)
) partition by range (day);

-- Where a price lies on a scale of powers of two: 0 below 0.000001, then a level each. Exact, so that whoever reached a limit has at
-- least the limit's level. An index on it finds those; most changes of a price leave it alone, so that updates stay in place (a
-- million updates of 400,000 sums: 7.3 us each with this scale, 12 with steps of 4 percent, 4 without any index).
create function usage_price_level(price numeric) returns smallint
  language sql immutable strict parallel safe
  return width_bucket(price, '{
  0.000001,0.000002,0.000004,0.000008,0.000015,0.000031,0.000061,0.000122,0.000244,0.000488,0.000977,0.001953,0.003906,
  0.007812,0.015625,0.03125,0.0625,0.125,0.25,0.5,1,2,4,8,16,32,64,128,256,512,1024,2048,4096,8192,16384,32768,65536,131072,
  262144,524288,1048576,2097152,4194304,8388608,16777216,33554432,67108864,134217728,268435456,536870912,1073741824,
  2147483648,4294967296,8589934592,17179869184,34359738368,68719476736,137438953472,274877906944,549755813888,1099511627776
  }'::numeric[])::smallint;

-- The sums of all time, for limits.
create table usage_totals (
  bucket smallint not null,
  -- usage_price_level(total_price)
  price_level smallint not null,
  usage_type text collate "C" not null,
  subscription_id text collate "C" not null,
  records bigint not null,
  total_used numeric not null,
  total_price numeric not null,
  primary key (subscription_id, usage_type, bucket)
) with (fillfactor = 80);
create index usage_totals_price_level on usage_totals (price_level);
