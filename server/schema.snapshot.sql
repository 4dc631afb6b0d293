-- Made from the catalogue by schema.db.test.ts. Renew it with MILLIARD_TEST_UPDATE_SNAPSHOTS=1 npm test.

CREATE OR REPLACE FUNCTION public.bucket_of(key text)
 RETURNS smallint
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE STRICT
RETURN (((get_byte(sha256(convert_to(key, 'UTF8'::name)), 0) * 16) + (get_byte(sha256(convert_to(key, 'UTF8'::name)), 1) / 16)))::smallint;

CREATE OR REPLACE FUNCTION public.bucket_of_id(id uuid)
 RETURNS smallint
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE STRICT
RETURN ((((get_byte(uuid_send(id), 6) & 15) * 256) + get_byte(uuid_send(id), 7)))::smallint;

create table api_keys (
  key_id text not null,
  name text not null,
  secret_hash bytea not null,
  scopes text[] not null,
  created_at timestamp(3) with time zone not null default now(),
  revoked_at timestamp(3) with time zone,
  constraint api_keys_pkey PRIMARY KEY (key_id)
);

create table audit_log (
  audit_id uuid not null default gen_random_uuid(),
  recorded_at timestamp(3) with time zone not null default now(),
  actor text not null,
  action text not null,
  subject text not null,
  facts jsonb not null default '{}'::jsonb,
  constraint audit_log_pkey PRIMARY KEY (audit_id)
);
CREATE INDEX audit_log_recorded_at ON public.audit_log USING btree (recorded_at);

create table customer_salts (
  customer_id text not null,
  layout integer not null,
  ways smallint not null,
  state text not null,
  epoch bigint not null,
  created_at timestamp(3) with time zone not null default now(),
  constraint customer_salts_pkey PRIMARY KEY (customer_id, layout),
  constraint customer_salts_layout_check CHECK ((layout > 0)),
  constraint customer_salts_state_check CHECK ((state = ANY (ARRAY['draining'::text, 'active'::text]))),
  constraint customer_salts_ways_check CHECK (((ways >= 1) AND (ways <= 4096)))
);

create table order_keys (
  bucket smallint not null,
  customer_id text not null,
  kind text not null,
  key text not null,
  order_id uuid not null,
  content_hash bytea not null,
  constraint order_keys_pkey PRIMARY KEY (bucket, customer_id, kind, key),
  constraint order_keys_kind_check CHECK ((kind = ANY (ARRAY['number'::text, 'request'::text])))
);

create table order_statuses (
  order_id uuid not null,
  bucket smallint not null,
  seq integer not null,
  status text not null,
  occurred_at timestamp(3) with time zone not null,
  recorded_at timestamp(3) with time zone not null,
  reason text,
  actor text not null,
  event_key text,
  constraint order_statuses_pkey PRIMARY KEY (order_id, bucket, seq),
  constraint order_statuses_seq_check CHECK ((seq > 0)),
  constraint order_statuses_status_check CHECK ((status = ANY (ARRAY['pending'::text, 'complete'::text, 'cancelled'::text])))
) partition by RANGE (order_id);
CREATE UNIQUE INDEX order_statuses_event_key ON ONLY public.order_statuses USING btree (order_id, bucket, event_key) WHERE (event_key IS NOT NULL);

create table orders (
  order_id uuid not null,
  bucket smallint not null,
  customer_id text not null,
  order_number text,
  placed_at timestamp(3) with time zone not null,
  currency text not null,
  total_minor bigint not null,
  items jsonb not null,
  status text not null,
  status_at timestamp(3) with time zone not null,
  status_seq integer not null,
  last_seq integer not null,
  reason text,
  constraint orders_pkey PRIMARY KEY (order_id, bucket),
  constraint orders_check CHECK ((bucket = bucket_of_id(order_id))),
  constraint orders_status_check CHECK ((status = ANY (ARRAY['pending'::text, 'complete'::text, 'cancelled'::text])))
) partition by RANGE (order_id);
CREATE INDEX orders_customer ON ONLY public.orders USING btree (customer_id, order_id);
CREATE INDEX orders_status ON ONLY public.orders USING btree (status, order_id);
