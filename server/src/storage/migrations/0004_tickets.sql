-- Up Migration

-- A new secret for a ticket in this bucket: a version 4 UUID of the strong generator whose 12 bits rand_a are the bucket, so that
-- a look-up by the token alone knows its home; bucket_of_id reads it back, as bucketOfId in core/ids.ts does.
create function new_ticket_token(bucket integer) returns uuid
  language sql volatile parallel safe
  return encode(overlay(uuid_send(gen_random_uuid()) placing int2send((16384 + bucket)::smallint) from 7 for 2), 'hex')::uuid;

-- ticket_id is a version 7 UUID: the time bits are created_at, rand_a is the bucket of the holder (design: one idea). The keys of
-- these tables begin with the bucket: a rotation walks them in their order, so that each index of the new generation grows at one
-- place (measured at 1 M tickets: 4.3 s instead of 5.6).
create table tickets (
  ticket_id uuid not null,
  bucket smallint not null check (bucket = bucket_of_id(ticket_id)),
  holder text not null,
  event text not null,
  ticket_number text,
  seat text,
  created_at timestamptz(3) not null,
  voided_at timestamptz(3),
  voided_by text,
  void_reason text,
  primary key (bucket, ticket_id)
);
create index tickets_event on tickets (event, ticket_id);
create index tickets_holder on tickets (bucket, holder, ticket_id);
-- A rotation leaves void tickets out by this small index, so that it need not read a single ticket (5.4 s instead of 9.3 a million).
create index tickets_void on tickets (bucket, ticket_id) where voided_at is not null;

-- What a client calls a ticket: its ticket number, else the Idempotency-Key. In the ticket's own bucket; never expires.
create table ticket_keys (
  bucket smallint not null,
  holder text not null,
  kind text not null check (kind in ('number', 'request')),
  key text not null,
  ticket_id uuid not null,
  -- the first 16 bytes of SHA-256 over the canonical submitted fields
  content_hash bytea not null,
  primary key (bucket, holder, kind, key)
);

-- The secrets: one row a ticket and generation. A rotation inserts rows of a new generation and later drops the partition of an
-- old one: no row is ever rewritten. domains/tickets/ticket-token.ts says which of them are valid.
create table ticket_tokens (
  ticket_id uuid not null,
  bucket smallint not null,
  generation integer not null,
  token uuid not null,
  primary key (bucket, ticket_id, generation),
  unique (bucket, token, generation)
) partition by range (generation);
-- A rotation of all tickets begins the next hundred thousand and has a partition of its own; one of a single event takes the next
-- number within. The partition that the next rotation needs stands ready: a cut-off must not wait for DDL.
create table ticket_tokens_0 partition of ticket_tokens for values from (0) to (100000);
create table ticket_tokens_100000 partition of ticket_tokens for values from (100000) to (200000);

-- Generations of tokens, numbered upwards without regard to their scope. A ticket's current generation is the highest one in whose
-- scope it is.
create table token_generations (
  generation integer primary key check (generation > 0),
  -- the scope: tickets of this event; null = all tickets
  event text,
  -- the cut-off: from this instant on no token of an EARLIER generation is accepted for a ticket in this scope. In the future
  -- while a grace lasts. The first generation has nothing before it.
  refused_from timestamptz(3) check (generation = 1 or refused_from is not null),
  created_at timestamptz(3) not null default now(),
  -- from then on the tokens it refuses need no longer be told from unknown ones; null = they are kept
  purge_from timestamptz(3),
  -- when they were deleted
  purged_at timestamptz(3),
  -- the job run that issues it
  run_id text unique
);
insert into token_generations (generation) values (1);
