import type { TicketId } from '../../core/ids.ts';
import type { Instant } from '../../core/time.ts';
import { dynamic, type Statement, sql, statement } from '../../storage/sql.ts';
import { type Home, stretchLength, stretchOf } from './ticket-rotation.ts';

/** A generation as the run that makes it knows it. */
export interface OwnGeneration {
  readonly generation: number;
  readonly event: string | null;
  readonly refusedFrom: Instant;
  readonly createdAt: Instant;
}

/** The generation that a run has made; no row before its cut-off. */
export const generationOfRun = statement<OwnGeneration, [string]>(
  'generation_of_run',
  `select generation, event, refused_from as "refusedFrom", created_at as "createdAt" from token_generations where run_id = $1`,
  (runId) => [runId],
);

/** One cut-off after another; no lock of a table, so that neither requests nor a vacuum wait for it, nor it for them. */
export const lockGenerations = statement<never>(
  'lock_generations',
  `select pg_advisory_xact_lock(hashtext('milliard token generations'))`,
);

/** A revocation that was acknowledged is on disk, whatever the session is set to. */
export const commitSynchronously = statement<never>(
  'commit_synchronously',
  `select set_config('synchronous_commit', 'on', true) where current_setting('synchronous_commit') in ('off', 'local')`,
);

export interface NewGeneration {
  readonly generation: number;
  readonly event: string | null;
  readonly runId: string;
  readonly graceSeconds: number;
  readonly keepDays: number;
}

// The database's clock, once: what is refused at once is refused by every server, whatever its clock says (ticket-token.ts).
export const insertGeneration = statement<OwnGeneration, [NewGeneration]>(
  'insert_generation',
  `insert into token_generations (generation, event, run_id, created_at, refused_from, purge_from)
   values ($1::int, $2::text, $3::text, date_trunc('milliseconds', statement_timestamp()),
           date_trunc('milliseconds', statement_timestamp()) + make_interval(secs => $4::int),
           date_trunc('milliseconds', statement_timestamp()) + make_interval(secs => $4::int, days => $5::int))
   returning generation, event, refused_from as "refusedFrom", created_at as "createdAt"`,
  (g) => [g.generation, g.event, g.runId, g.graceSeconds, g.keepDays],
);

/** A later cut-off has refused what this run issues: going on would be in vain. */
export const supersedingGeneration = statement<{ generation: number }, [OwnGeneration]>(
  'superseding_generation',
  `select max(generation) as generation from token_generations
    where generation > $1 and (event is null or event = $2) and refused_from <= now() having count(*) > 0`,
  ({ generation, event }) => [generation, event],
);

/**
 * Joins and groups of this transaction walk indexes side by side, in this process. The new partition has no statistics at first,
 * and a plan that hashes or sorts all of it for each batch would make the whole quadratic; sorts of a part of the proof went to
 * disk (130 ms for 50,000 tickets instead of 80).
 */
export const walkIndexes = statement<never>(
  'walk_indexes',
  `select set_config(name, value, true)
     from (values ('enable_hashjoin', 'off'), ('enable_hashagg', 'off'), ('enable_seqscan', 'off'), ('enable_bitmapscan', 'off'),
                  ('max_parallel_workers_per_gather', '0')) s (name, value)`,
);

/** Where a batch lies: behind `after`, up to and with `upTo`. */
export interface Stretch {
  readonly after: Home;
  readonly upTo: Home;
}

const between = (alias: 't' | 'v' | 'k', { after, upTo }: Stretch) => {
  const key = sql.raw(`(${alias}.bucket, ${alias}.ticket_id)`);
  return sql`${key} > (${after.bucket}::smallint, ${after.ticketId}::uuid) and ${key} <= (${upTo.bucket}::smallint, ${upTo.ticketId}::uuid)`;
};

export interface LastOfBatch {
  readonly ticketId: TicketId;
  readonly rows: number;
}

/** The last of the next tickets in the order (bucket, ticket_id), and how many they are; no row when none is left. */
export const nextTickets = (stretch: Stretch, rows: number): Statement<LastOfBatch> =>
  dynamic(sql`
    select ticket_id as "ticketId", (count(*) over ())::int as rows
      from (select t.bucket, t.ticket_id from tickets t where ${between('t', stretch)}
             order by t.bucket, t.ticket_id limit ${rows}) page
     order by bucket desc, ticket_id desc limit 1`);

/** The same for one event, in the order of the ids. */
export const nextTicketsOfEvent = (event: string, after: TicketId, rows: number): Statement<LastOfBatch> =>
  dynamic(sql`
    select ticket_id as "ticketId", (count(*) over ())::int as rows
      from (select t.ticket_id from tickets t where t.event = ${event} and t.ticket_id > ${after}::uuid
             order by t.ticket_id limit ${rows}) page
     order by ticket_id desc limit 1`);

/**
 * Tokens of a new generation for the tickets of a stretch that have none of it and are not void. Every index it reads is walked in
 * its order and no ticket itself is read; every index it writes grows at one place (see 0004_tickets.sql for what that saves).
 * No ON CONFLICT: whoever made a ticket meanwhile gave it a token in the same transaction, so both are seen or neither
 * (and speculative insertion took half as long again: 7.2 s instead of 4.9 a million).
 */
export const issueGeneration = (generation: number, stretch: Stretch): Statement<{ issued: number }> =>
  dynamic(sql`
    with issued as (
      insert into ticket_tokens (ticket_id, bucket, generation, token)
      select t.ticket_id, t.bucket, ${sql.lit(generation)}, new_ticket_token(t.bucket)
        from tickets t
       where ${between('t', stretch)}
         and not exists (select from tickets v where v.voided_at is not null
                            and v.bucket = t.bucket and v.ticket_id = t.ticket_id and ${between('v', stretch)})
         and not exists (select from ticket_tokens k where ${ofStretch(generation)}
                            and k.bucket = t.bucket and k.ticket_id = t.ticket_id and ${between('k', stretch)})
       order by t.bucket, t.ticket_id
      returning 1)
    select count(*)::int as issued from issued`);

/** The same for tickets of one event, by the index of the event. */
export const issueGenerationOfEvent = (
  own: { readonly generation: number; readonly event: string },
  after: TicketId,
  upTo: TicketId,
): Statement<{ issued: number }> =>
  dynamic(sql`
    with issued as (
      insert into ticket_tokens (ticket_id, bucket, generation, token)
      select t.ticket_id, t.bucket, ${sql.lit(own.generation)}, new_ticket_token(t.bucket)
        from tickets t
       where t.event = ${own.event} and t.ticket_id > ${after}::uuid and t.ticket_id <= ${upTo}::uuid and t.voided_at is null
         and not exists (select from ticket_tokens k
                          where k.bucket = t.bucket and k.ticket_id = t.ticket_id and ${ofStretch(own.generation)})
      returning 1)
    select count(*)::int as issued from issued`);

/** Tokens of this generation or a later one of its partition: constants, so that no other partition is looked at. */
const ofStretch = (generation: number) =>
  sql`k.generation >= ${sql.lit(generation)} and k.generation < ${sql.lit(stretchOf(generation) + stretchLength)}`;

/** How many tickets there are, exactly as far as `limit`, beyond it by the statistics. */
export const countTickets = statement<{ rows: number; exact: boolean }, [number]>(
  'count_tickets',
  `select case when exact then counted else estimated end::float8 as rows, exact
     from (select counted, estimated, counted < $1 as exact
             from (select count(*) as counted from (select 1 from tickets limit $1) first) c,
                  (select greatest(reltuples, $1) as estimated from pg_class where oid = 'tickets'::regclass) e) f`,
  (limit) => [limit],
);

export const countTicketsOfEvent = statement<{ rows: number }, [string]>(
  'count_tickets_of_event',
  'select count(*)::float8 as rows from tickets where event = $1',
  (event) => [event],
);

export interface AuditEntry {
  readonly runId: string;
  readonly actor: string;
  readonly action: 'tickets.rotation.cut_off' | 'tickets.rotation.finished' | 'tickets.rotation.cancelled';
  readonly event: string | null;
  readonly facts: object;
}

/** One entry a run and action, however often it is written. */
export const insertAuditEntry = statement<never, [AuditEntry]>(
  'insert_rotation_audit',
  `insert into audit_log (audit_id, actor, action, subject, facts)
   values (md5($1 || ' ' || $3)::uuid, $2, $3, $4, $5) on conflict do nothing`,
  ({ runId, actor, action, event, facts }) => [
    runId,
    actor,
    action,
    event === null ? 'all tickets' : `event ${event}`,
    JSON.stringify({ run_id: runId, ...facts }),
  ],
);
