-- Up Migration

-- One row for every process that writes orders. It counts until expires_at by the clock of the database; a process that could not
-- renew it in time stops writing.
create table server_leases (
  server_id uuid primary key,
  -- its transactions that write orders hold a shared advisory lock of this number
  lock_number integer not null,
  -- for people: what it is and where it runs
  application text not null,
  version text not null,
  host text not null,
  pid integer not null,
  started_at timestamptz(3) not null,
  renewed_at timestamptz(3) not null,
  expires_at timestamptz(3) not null,
  -- its layouts of customers are at least as new as this epoch of customer_salts
  seen_epoch bigint not null,
  -- what the database was when the process looked, once, at its start: `cluster adopt` waits for those who know it as one server
  topology text not null default 'single' check (topology in ('single', 'citus'))
);

-- Epochs of customer_salts. A layout that was withdrawn leaves no row behind, and its epoch must never come again.
create sequence customer_salts_epochs as bigint;

-- From then on whoever finds the row still draining may take it away: who put it there has died.
alter table customer_salts add column drain_until timestamptz(3);
alter table customer_salts add constraint customer_salts_drain_until check ((state = 'draining') = (drain_until is not null));
