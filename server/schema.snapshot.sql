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
