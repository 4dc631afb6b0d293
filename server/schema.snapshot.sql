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

CREATE OR REPLACE FUNCTION public.new_ticket_token(bucket integer)
 RETURNS uuid
 LANGUAGE sql
 PARALLEL SAFE
RETURN (encode(OVERLAY(uuid_send(gen_random_uuid()) PLACING int2send(((16384 + bucket))::smallint) FROM 7 FOR 2), 'hex'::text))::uuid;

CREATE OR REPLACE FUNCTION public.usage_price_level(price numeric)
 RETURNS smallint
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE STRICT
RETURN (width_bucket(price, '{0.000001,0.000002,0.000004,0.000008,0.000015,0.000031,0.000061,0.000122,0.000244,0.000488,0.000977,0.001953,0.003906,0.007812,0.015625,0.03125,0.0625,0.125,0.25,0.5,1,2,4,8,16,32,64,128,256,512,1024,2048,4096,8192,16384,32768,65536,131072,262144,524288,1048576,2097152,4194304,8388608,16777216,33554432,67108864,134217728,268435456,536870912,1073741824,2147483648,4294967296,8589934592,17179869184,34359738368,68719476736,137438953472,274877906944,549755813888,1099511627776}'::numeric[]))::smallint;

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
  drain_until timestamp(3) with time zone,
  constraint customer_salts_pkey PRIMARY KEY (customer_id, layout),
  constraint customer_salts_drain_until CHECK (((state = 'draining'::text) = (drain_until IS NOT NULL))),
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

create table server_leases (
  server_id uuid not null,
  lock_number integer not null,
  application text not null,
  version text not null,
  host text not null,
  pid integer not null,
  started_at timestamp(3) with time zone not null,
  renewed_at timestamp(3) with time zone not null,
  expires_at timestamp(3) with time zone not null,
  seen_epoch bigint not null,
  topology text not null default 'single'::text,
  constraint server_leases_pkey PRIMARY KEY (server_id),
  constraint server_leases_topology_check CHECK ((topology = ANY (ARRAY['single'::text, 'citus'::text])))
);

create table shipment_articles (
  tracking_key text not null,
  carrier_key text not null,
  bucket smallint not null,
  article_key text not null,
  "position" integer not null,
  name text not null,
  quantity integer not null,
  unit_price_minor bigint,
  sku text,
  constraint shipment_articles_pkey PRIMARY KEY (tracking_key, carrier_key, bucket, article_key),
  constraint shipment_articles_quantity_check CHECK ((quantity > 0)),
  constraint shipment_articles_unit_price_minor_check CHECK ((unit_price_minor >= 0))
);

create table shipment_events (
  tracking_key text not null,
  carrier_key text not null,
  bucket smallint not null,
  seq integer not null,
  occurred_at timestamp(3) with time zone not null,
  code text not null,
  status text not null,
  new_leg boolean not null,
  recorded_at timestamp(3) with time zone not null,
  description text,
  city text,
  country text,
  actor text not null,
  constraint shipment_events_pkey PRIMARY KEY (tracking_key, carrier_key, bucket, occurred_at, code),
  constraint shipment_events_seq_check CHECK ((seq > 0)),
  constraint shipment_events_status_check CHECK ((status = ANY (ARRAY['pre_transit'::text, 'in_transit'::text, 'out_for_delivery'::text, 'available_for_pickup'::text, 'delivered'::text, 'exception'::text, 'returning'::text, 'returned'::text, 'cancelled'::text, 'unknown'::text])))
);

create table shipments (
  tracking_key text not null,
  carrier_key text not null,
  bucket smallint not null,
  shipment_id uuid not null,
  carrier text not null,
  tracking_number text not null,
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
  receiver_city_key text,
  currency text not null,
  order_id uuid,
  expected_on date,
  status text not null,
  status_code text,
  status_at timestamp(3) with time zone,
  status_seq integer,
  last_seq integer not null,
  moved_at timestamp(3) with time zone not null,
  imported_status text,
  content_hash bytea,
  version integer not null,
  created_at timestamp(3) with time zone not null,
  updated_at timestamp(3) with time zone not null,
  constraint shipments_pkey PRIMARY KEY (tracking_key, carrier_key, bucket),
  constraint shipments_carrier_key_check CHECK ((carrier_key <> ''::text)),
  constraint shipments_check CHECK ((bucket = bucket_of(((carrier_key || '/'::text) || tracking_key)))),
  constraint shipments_check1 CHECK ((bucket = bucket_of_id(shipment_id))),
  constraint shipments_status_check CHECK ((status = ANY (ARRAY['pre_transit'::text, 'in_transit'::text, 'out_for_delivery'::text, 'available_for_pickup'::text, 'delivered'::text, 'exception'::text, 'returning'::text, 'returned'::text, 'cancelled'::text, 'unknown'::text]))),
  constraint shipments_tracking_key_check CHECK ((tracking_key <> ''::text))
);
CREATE INDEX shipments_attention ON public.shipments USING btree (LEAST(
CASE
    WHEN (status = 'exception'::text) THEN (status_at AT TIME ZONE 'UTC'::text)
    ELSE NULL::timestamp without time zone
END, ((moved_at AT TIME ZONE 'UTC'::text) + '5 days'::interval), ((expected_on + 1))::timestamp without time zone), shipment_id) WHERE (status <> ALL (ARRAY['delivered'::text, 'returned'::text, 'cancelled'::text]));
CREATE INDEX shipments_carrier ON public.shipments USING btree (carrier_key COLLATE "POSIX", status, shipment_id);
CREATE INDEX shipments_city ON public.shipments USING btree (receiver_city_key, COALESCE(receiver_country, ''::text), status, shipment_id);
CREATE INDEX shipments_country ON public.shipments USING btree (receiver_country, status, shipment_id);
CREATE INDEX shipments_order ON public.shipments USING btree (order_id, shipment_id) WHERE (order_id IS NOT NULL);
CREATE INDEX shipments_status ON public.shipments USING btree (status COLLATE "C", shipment_id);
CREATE INDEX shipments_updated ON public.shipments USING btree (updated_at, shipment_id);

create table subscriptions (
  subscription_id text not null,
  bucket smallint not null,
  provider text,
  status text not null,
  plan text,
  created_at timestamp(3) with time zone not null,
  updated_at timestamp(3) with time zone not null,
  constraint subscriptions_pkey PRIMARY KEY (subscription_id, bucket),
  constraint subscriptions_status_check CHECK ((status = ANY (ARRAY['new'::text, 'active'::text, 'suspended'::text, 'expired'::text])))
);

create table ticket_keys (
  bucket smallint not null,
  holder text not null,
  kind text not null,
  key text not null,
  ticket_id uuid not null,
  content_hash bytea not null,
  constraint ticket_keys_pkey PRIMARY KEY (bucket, holder, kind, key),
  constraint ticket_keys_kind_check CHECK ((kind = ANY (ARRAY['number'::text, 'request'::text])))
);

create table ticket_tokens (
  ticket_id uuid not null,
  bucket smallint not null,
  generation integer not null,
  token uuid not null,
  constraint ticket_tokens_pkey PRIMARY KEY (bucket, ticket_id, generation),
  constraint ticket_tokens_bucket_token_generation_key UNIQUE (bucket, token, generation)
) partition by RANGE (generation);

create table tickets (
  ticket_id uuid not null,
  bucket smallint not null,
  holder text not null,
  event text not null,
  ticket_number text,
  seat text,
  created_at timestamp(3) with time zone not null,
  voided_at timestamp(3) with time zone,
  voided_by text,
  void_reason text,
  constraint tickets_pkey PRIMARY KEY (bucket, ticket_id),
  constraint tickets_check CHECK ((bucket = bucket_of_id(ticket_id)))
);
CREATE INDEX tickets_event ON public.tickets USING btree (event, ticket_id);
CREATE INDEX tickets_holder ON public.tickets USING btree (bucket, holder, ticket_id);
CREATE INDEX tickets_void ON public.tickets USING btree (bucket, ticket_id) WHERE (voided_at IS NOT NULL);

create table token_generations (
  generation integer not null,
  event text,
  refused_from timestamp(3) with time zone,
  created_at timestamp(3) with time zone not null default now(),
  purge_from timestamp(3) with time zone,
  purged_at timestamp(3) with time zone,
  run_id text,
  constraint token_generations_pkey PRIMARY KEY (generation),
  constraint token_generations_check CHECK (((generation = 1) OR (refused_from IS NOT NULL))),
  constraint token_generations_generation_check CHECK ((generation > 0)),
  constraint token_generations_run_id_key UNIQUE (run_id)
);

create table usage_adjustments (
  batch_id bigint not null,
  day date not null,
  bucket smallint not null,
  side smallint not null,
  revision integer not null,
  records_delta integer not null,
  usage_type text not null,
  subscription_id text not null,
  source text not null,
  reference text not null,
  used_delta numeric not null,
  price_delta numeric not null,
  reason text,
  actor text not null,
  recorded_at timestamp(3) with time zone not null,
  content_hash bytea,
  constraint usage_adjustments_pkey PRIMARY KEY (bucket, subscription_id, source, reference, revision, side),
  constraint usage_adjustments_revision_check CHECK ((revision > 0)),
  constraint usage_adjustments_side_check CHECK ((side = ANY (ARRAY[0, 1]))),
  constraint usage_adjustments_source_check CHECK ((source = ANY (ARRAY['correction'::text, 'adjustment'::text, 'direct'::text])))
);
CREATE INDEX usage_adjustments_batch ON public.usage_adjustments USING btree (batch_id);
CREATE INDEX usage_adjustments_day ON public.usage_adjustments USING btree (day);

create table usage_batches (
  batch_id bigint not null,
  kind text not null,
  actor text not null,
  producer_key text,
  part integer not null,
  content_hash bytea,
  rows integer not null,
  outcome jsonb,
  first_day date,
  last_day date,
  created_at timestamp(3) with time zone not null,
  rolled_up_at timestamp(3) with time zone,
  constraint usage_batches_pkey PRIMARY KEY (batch_id),
  constraint usage_batches_kind_check CHECK ((kind = ANY (ARRAY['records'::text, 'adjustments'::text, 'direct'::text]))),
  constraint usage_batches_part_check CHECK ((part > 0)),
  constraint usage_batches_rows_check CHECK ((rows >= 0))
);
CREATE INDEX usage_batches_last_day ON public.usage_batches USING btree (last_day);
CREATE INDEX usage_batches_open ON public.usage_batches USING btree (batch_id) WHERE (rolled_up_at IS NULL);
CREATE UNIQUE INDEX usage_batches_producer_key ON public.usage_batches USING btree (actor, producer_key, part) WHERE (producer_key IS NOT NULL);

create table usage_corrections (
  bucket smallint not null,
  day date not null,
  revision integer not null,
  subscription_id text not null,
  record_id text not null,
  deleted boolean not null,
  new_subscription_id text not null,
  new_usage_type text not null,
  new_used_at timestamp(3) with time zone not null,
  new_used bigint not null,
  new_price numeric not null,
  reason text,
  actor text not null,
  recorded_at timestamp(3) with time zone not null,
  content_hash bytea not null,
  batch_id bigint not null,
  constraint usage_corrections_pkey PRIMARY KEY (bucket, subscription_id, record_id, day, revision),
  constraint usage_corrections_new_price_check CHECK (((new_price >= (0)::numeric) AND (new_price < ('1000000000000'::bigint)::numeric))),
  constraint usage_corrections_new_used_check CHECK ((new_used >= 0)),
  constraint usage_corrections_revision_check CHECK ((revision > 0))
);

create table usage_daily (
  day date not null,
  bucket smallint not null,
  usage_type text not null,
  subscription_id text not null,
  records bigint not null,
  total_used numeric not null,
  total_price numeric not null,
  constraint usage_daily_pkey PRIMARY KEY (subscription_id, usage_type, day, bucket)
) partition by RANGE (day);

create table usage_day_drops (
  day date not null,
  raw_rows bigint not null,
  differences bigint not null,
  checked_at timestamp(3) with time zone not null,
  dropped_at timestamp(3) with time zone,
  actor text not null,
  constraint usage_day_drops_pkey PRIMARY KEY (day)
);

create table usage_horizon (
  singleton boolean not null,
  raw_from date not null,
  dropped_before date,
  moved_at timestamp(3) with time zone not null,
  constraint usage_horizon_pkey PRIMARY KEY (singleton),
  constraint usage_horizon_singleton_check CHECK (singleton)
);

create table usage_records (
  batch_id bigint not null,
  used bigint not null,
  used_at timestamp(3) with time zone not null,
  day date not null,
  bucket smallint not null,
  usage_type text not null,
  subscription_id text not null,
  record_id text not null,
  price numeric not null,
  constraint usage_records_pkey PRIMARY KEY (bucket, subscription_id, record_id, day),
  constraint usage_records_price_check CHECK (((price >= (0)::numeric) AND (price < ('1000000000000'::bigint)::numeric))),
  constraint usage_records_used_check CHECK ((used >= 0))
) partition by RANGE (day);
CREATE INDEX usage_records_batch ON ONLY public.usage_records USING brin (batch_id) WITH (pages_per_range='32');

create table usage_totals (
  bucket smallint not null,
  price_level smallint not null,
  usage_type text not null,
  subscription_id text not null,
  records bigint not null,
  total_used numeric not null,
  total_price numeric not null,
  constraint usage_totals_pkey PRIMARY KEY (subscription_id, usage_type, bucket)
);
CREATE INDEX usage_totals_price_level ON public.usage_totals USING btree (price_level);

create table usage_types (
  usage_type text not null,
  unit text not null,
  created_at timestamp(3) with time zone not null default now(),
  constraint usage_types_pkey PRIMARY KEY (usage_type)
);

create table milliard_jobs.job_ranges (
  run_id uuid not null,
  range_no integer not null,
  cursor jsonb,
  upto jsonb,
  done_rows bigint not null default 0,
  failed_rows bigint not null default 0,
  batches bigint not null default 0,
  counts jsonb not null default '{}'::jsonb,
  finished_at timestamp(3) with time zone,
  fence bigint not null,
  constraint job_ranges_pkey PRIMARY KEY (run_id, range_no),
  constraint job_ranges_run_id_fkey FOREIGN KEY (run_id) REFERENCES milliard_jobs.job_runs(run_id) ON DELETE CASCADE
);

create table milliard_jobs.job_row_errors (
  run_id uuid not null,
  "position" bigint not null,
  row_key text not null,
  code text not null,
  detail text not null,
  skipped boolean not null,
  recorded_at timestamp(3) with time zone not null default now(),
  constraint job_row_errors_pkey PRIMARY KEY (run_id, "position"),
  constraint job_row_errors_run_id_fkey FOREIGN KEY (run_id) REFERENCES milliard_jobs.job_runs(run_id) ON DELETE CASCADE
);

create table milliard_jobs.job_runs (
  run_id uuid not null,
  kind text not null,
  unique_key text,
  request_key text,
  request_hash bytea,
  parameters jsonb not null,
  state text not null,
  actor text not null,
  home_host text not null,
  created_at timestamp(3) with time zone not null default now(),
  available_at timestamp(3) with time zone not null default now(),
  started_at timestamp(3) with time zone,
  begun_at timestamp(3) with time zone,
  heartbeat_at timestamp(3) with time zone,
  finished_at timestamp(3) with time zone,
  owner_host text,
  owner_pid integer,
  replaced_host text,
  replaced_pid integer,
  fence bigint not null default 0,
  total_rows bigint,
  total_precision text,
  batch_rows integer not null,
  max_row_errors bigint not null,
  allowed_row_errors bigint not null,
  retries bigint not null default 0,
  rate_now double precision,
  rate_mean double precision,
  active_ms bigint not null default 0,
  throttled_ms bigint not null default 0,
  remaining_ms bigint,
  wait_reason text,
  throttle jsonb not null,
  error text,
  result jsonb,
  constraint job_runs_pkey PRIMARY KEY (run_id),
  constraint job_runs_state_check CHECK ((state = ANY (ARRAY['queued'::text, 'running'::text, 'paused'::text, 'cancelling'::text, 'cancelled'::text, 'failed'::text, 'done'::text]))),
  constraint job_runs_total_precision_check CHECK ((total_precision = ANY (ARRAY['exact'::text, 'estimate'::text])))
);
CREATE INDEX job_runs_open ON milliard_jobs.job_runs USING btree (run_id) WHERE (state = ANY (ARRAY['queued'::text, 'running'::text, 'cancelling'::text]));
CREATE UNIQUE INDEX job_runs_request_key ON milliard_jobs.job_runs USING btree (actor, request_key) WHERE (request_key IS NOT NULL);
CREATE UNIQUE INDEX job_runs_unfinished_key ON milliard_jobs.job_runs USING btree (kind, unique_key) WHERE ((unique_key IS NOT NULL) AND (state <> ALL (ARRAY['done'::text, 'cancelled'::text])));
