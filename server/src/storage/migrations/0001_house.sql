-- Up Migration

-- A row's home among 4,096 buckets: the first 12 bits of SHA-256 of the UTF-8 text. core/bucket.ts is the same function.
create function bucket_of(key text) returns smallint
  language sql immutable strict parallel safe
  return (get_byte(sha256(convert_to(key, 'UTF8')), 0) * 16 + get_byte(sha256(convert_to(key, 'UTF8')), 1) / 16)::smallint;

-- The bucket written into the 12 bits rand_a of a version 7 UUID. core/ids.ts is the same function.
create function bucket_of_id(id uuid) returns smallint
  language sql immutable strict parallel safe
  return ((get_byte(uuid_send(id), 6) & 15) * 256 + get_byte(uuid_send(id), 7))::smallint;

-- One row per layout of a salted customer; a customer without a row has one way. Layout 0 (one way) always was.
create table customer_salts (
  customer_id text not null,
  layout integer not null check (layout > 0),
  ways smallint not null check (ways between 1 and 4096),
  -- draining: writes of this customer wait until every server knows the new layout
  state text not null check (state in ('draining', 'active')),
  -- rises with every change of this table: servers ask for it to learn that something changed
  epoch bigint not null,
  created_at timestamptz(3) not null default now(),
  primary key (customer_id, layout)
);

create table api_keys (
  key_id text primary key,
  name text not null,
  -- SHA-256 of the secret part; the secret itself has 256 random bits, so a slow hash would add nothing
  secret_hash bytea not null,
  scopes text[] not null,
  created_at timestamptz(3) not null default now(),
  revoked_at timestamptz(3)
);

create table audit_log (
  audit_id uuid primary key default gen_random_uuid(),
  recorded_at timestamptz(3) not null default now(),
  actor text not null,
  action text not null,
  subject text not null,
  facts jsonb not null default '{}'
);
create index audit_log_recorded_at on audit_log (recorded_at);
