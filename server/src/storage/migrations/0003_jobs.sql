-- Up Migration

-- Runs of long work. Its own schema, because a run about the tables of another database is kept in that database, beside the
-- rows it changes: jobs/job-tables.ts makes these tables there from this very file. Hence `if not exists` everywhere.
create schema if not exists milliard_jobs;

create table if not exists milliard_jobs.job_runs (
  run_id uuid primary key,
  kind text not null,
  -- two unfinished runs of a kind with the same key are the same run; null = every start is a new run
  unique_key text,
  -- what a client calls its request: sent again, it finds the run whatever became of it
  request_key text,
  -- SHA-256 over what was asked for, to tell a repetition from another request under the same key
  request_hash bytea,
  parameters jsonb not null,
  state text not null
    check (state in ('queued', 'running', 'paused', 'cancelling', 'cancelled', 'failed', 'done')),
  actor text not null,
  -- where it was started: work that needs a file of that machine is done there
  home_host text not null,
  created_at timestamptz(3) not null default now(),
  -- servers leave a queued run alone until then: whoever started or resumed it may want to run it himself
  available_at timestamptz(3) not null default now(),
  started_at timestamptz(3),
  begun_at timestamptz(3),
  heartbeat_at timestamptz(3),
  finished_at timestamptz(3),
  owner_host text,
  owner_pid integer,
  replaced_host text,
  replaced_pid integer,
  -- rises with every claim; a checkpoint of an older one is refused
  fence bigint not null default 0,
  total_rows bigint,
  total_precision text check (total_precision in ('exact', 'estimate')),
  batch_rows integer not null,
  max_row_errors bigint not null,
  -- failed rows beyond which the run fails; a resume allows max_row_errors more
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
  result jsonb
) with (fillfactor = 50);

create unique index if not exists job_runs_unfinished_key on milliard_jobs.job_runs (kind, unique_key)
  where unique_key is not null and state not in ('done', 'cancelled');

create unique index if not exists job_runs_request_key on milliard_jobs.job_runs (actor, request_key)
  where request_key is not null;

-- What servers look for every second.
create index if not exists job_runs_open on milliard_jobs.job_runs (run_id)
  where state in ('queued', 'running', 'cancelling');

-- A stretch of a run with its cursor, written in the transaction of each batch: room is left for updates in place.
create table if not exists milliard_jobs.job_ranges (
  run_id uuid not null references milliard_jobs.job_runs (run_id) on delete cascade,
  range_no integer not null,
  -- the last key done; null = nothing yet
  cursor jsonb,
  -- the last key of the range; null = to the end
  upto jsonb,
  done_rows bigint not null default 0,
  failed_rows bigint not null default 0,
  batches bigint not null default 0,
  counts jsonb not null default '{}',
  finished_at timestamptz(3),
  fence bigint not null,
  primary key (run_id, range_no)
) with (fillfactor = 50);

-- Rows that could not be done. `skipped` = the run went on without it; false = the one that passed the limit, tried again.
create table if not exists milliard_jobs.job_row_errors (
  run_id uuid not null references milliard_jobs.job_runs (run_id) on delete cascade,
  position bigint generated always as identity,
  row_key text not null,
  code text not null,
  detail text not null,
  skipped boolean not null,
  recorded_at timestamptz(3) not null default now(),
  primary key (run_id, position)
);
