-- Up Migration

-- order_id is a version 7 UUID: the time bits are placed_at, rand_a is the bucket (design: one idea). Monthly partitions by id.
create table orders (
  order_id uuid not null,
  bucket smallint not null check (bucket = bucket_of_id(order_id)),
  customer_id text not null,
  order_number text,
  placed_at timestamptz(3) not null,
  currency text not null,
  total_minor bigint not null,
  items jsonb not null,
  -- a copy of the winning row of order_statuses; `milliard verify orders` compares the two
  status text not null check (status in ('pending', 'complete', 'cancelled')),
  status_at timestamptz(3) not null,
  status_seq integer not null,
  last_seq integer not null,
  reason text,
  primary key (order_id, bucket)
) partition by range (order_id);
create index orders_customer on orders (customer_id, order_id);
create index orders_status on orders (status, order_id);

-- The truth: append-only. The newest by (occurred_at, seq) decides an order's status.
create table order_statuses (
  order_id uuid not null,
  bucket smallint not null,
  seq integer not null check (seq > 0),
  status text not null check (status in ('pending', 'complete', 'cancelled')),
  occurred_at timestamptz(3) not null,
  recorded_at timestamptz(3) not null,
  reason text,
  actor text not null,
  event_key text,
  primary key (order_id, bucket, seq)
) partition by range (order_id);
create unique index order_statuses_event_key on order_statuses (order_id, bucket, event_key) where event_key is not null;

-- What a client calls an order: its order number, else the Idempotency-Key. In the order's own bucket; never expires.
create table order_keys (
  bucket smallint not null,
  customer_id text not null,
  kind text not null check (kind in ('number', 'request')),
  key text not null,
  order_id uuid not null,
  -- the first 16 bytes of SHA-256 over the canonical submitted fields
  content_hash bytea not null,
  primary key (bucket, customer_id, kind, key)
);
