import type { Bucket } from '../../core/bucket.ts';
import type { TicketId } from '../../core/ids.ts';
import { formatInstant } from '../../core/time.ts';
import { dynamic, type Statement, sql } from '../../storage/sql.ts';
import type { OwnGeneration } from './ticket-rotation-queries.ts';

/** Buckets `[first, last]`: so many tickets are looked at by one statement. */
export interface BucketPart {
  readonly first: Bucket;
  readonly last: Bucket;
}

/** What a part of the tickets in scope proves; all counts but the first must be 0. */
export interface ScopeCounts {
  readonly tickets: number;
  /** Not void, and without a token of this generation or a later one. */
  readonly withoutToken: number;
  /** New tokens that are stored a second time, whatever their generation. */
  readonly duplicates: number;
  /** Tokens of earlier generations that nothing refuses at the instant of the proof. */
  readonly oldThatVerify: number;
}

// Refused at the instant of the proof: now, or the end of the grace where that lies ahead. `newer` refuses what is older.
const reached = (alias: 'newer' | 'floor', { refusedFrom }: OwnGeneration) =>
  sql`${sql.raw(alias)}.refused_from <= greatest(now(), ${formatInstant(refusedFrom)}::timestamptz)`;

const inPart = (alias: 't' | 'v' | 'k', { first, last }: BucketPart) =>
  sql`${sql.raw(alias)}.bucket between ${first}::smallint and ${last}::smallint`;

/**
 * All tickets of some buckets. Every join walks two indexes in the order (bucket, ticket_id) or (bucket, token), so memory stays
 * the same however many tickets there are. Old tokens: only those that no generation of all tickets refuses need a look at their
 * ticket's event, and behind the cut-off there are none.
 */
export const provePart = (own: OwnGeneration, part: BucketPart): Statement<ScopeCounts> =>
  dynamic(sql`
    select
      (select count(*) from tickets t where ${inPart('t', part)})::float8
        - (select count(*) from tickets v where ${inPart('v', part)} and v.voided_at is not null)::float8 as tickets,
      (select count(*) from tickets t
        where ${inPart('t', part)}
          and not exists (select from tickets v where v.voided_at is not null and ${inPart('v', part)}
                             and v.bucket = t.bucket and v.ticket_id = t.ticket_id)
          and not exists (select from ticket_tokens k where k.generation >= ${sql.lit(own.generation)} and ${inPart('k', part)}
                             and k.bucket = t.bucket and k.ticket_id = t.ticket_id))::float8 as "withoutToken",
      (select count(*) from (select 1 from ticket_tokens k where ${inPart('k', part)}
                              group by k.bucket, k.token having count(*) > 1) twice)::float8 as duplicates,
      (select count(*)
         from ticket_tokens k
        where ${inPart('k', part)} and k.generation < ${sql.lit(own.generation)}
          and k.generation >= (select coalesce(max(floor.generation), 0) from token_generations floor
                                where floor.event is null and ${reached('floor', own)})
          and not exists (select from tickets t, token_generations newer
                           where t.bucket = k.bucket and t.ticket_id = k.ticket_id and newer.event = t.event
                             and newer.generation > k.generation and ${reached('newer', own)}))::float8 as "oldThatVerify"`);

export interface EventPart {
  readonly event: string;
  readonly after: TicketId;
  readonly rows: number;
}

export interface EventCounts extends ScopeCounts {
  /** Tickets looked at, void ones too, and the last of them; null = there was none. */
  readonly looked: number;
  readonly last: TicketId | null;
}

/** The next tickets of one event, in the order of their ids. Each count for itself: Citus has no sub-select beside an aggregate. */
export const proveEventPart = (own: OwnGeneration, part: EventPart): Statement<EventCounts> =>
  dynamic(sql`
    with page as materialized (
      select t.ticket_id, t.bucket, t.voided_at is not null as is_void from tickets t
       where t.event = ${part.event} and t.ticket_id > ${part.after}::uuid order by t.ticket_id limit ${part.rows})
    select looked::float8 as looked, tickets::float8 as tickets,
           (select p.ticket_id from page p order by p.ticket_id desc limit 1) as last, (tickets - with_token)::float8 as "withoutToken",
           duplicates::float8 as duplicates, old::float8 as "oldThatVerify"
      from (select count(*) as looked, count(*) filter (where not p.is_void) as tickets from page p) counted,
           (select count(distinct k.ticket_id) as with_token
              from page p join ticket_tokens k on k.bucket = p.bucket and k.ticket_id = p.ticket_id
             where not p.is_void and k.generation >= ${sql.lit(own.generation)}) current,
           (select count(*) as duplicates
              from page p join ticket_tokens k on k.bucket = p.bucket and k.ticket_id = p.ticket_id
             where k.generation >= ${sql.lit(own.generation)}
               and exists (select from ticket_tokens o where o.bucket = k.bucket and o.token = k.token
                              and (o.ticket_id <> k.ticket_id or o.generation <> k.generation))) twice,
           (select count(*) as old
              from page p join ticket_tokens k on k.bucket = p.bucket and k.ticket_id = p.ticket_id
             where k.generation < ${sql.lit(own.generation)}
               and not exists (select from token_generations newer
                                where newer.generation > k.generation and (newer.event is null or newer.event = ${part.event})
                                  and ${reached('newer', own)})) accepted`);

/** What the tickets outside the scope of a rotation of one event prove. */
export interface OutsideCounts {
  readonly tickets: number;
  /** Their newest token is accepted. */
  readonly verify: number;
  /** Their newest token would be accepted if it were not for this generation: must be 0. */
  readonly lost: number;
}

/** Tickets of other events in some buckets, each with its newest token. */
export const proveOutside = (own: OwnGeneration, part: BucketPart): Statement<OutsideCounts> =>
  dynamic(sql`
    with judged as (
      select newest.generation >= greatest(everywhere.floor, here.floor) as verifies,
             newest.generation >= greatest(everywhere.before, here.before) as verified
        from tickets t
        left join (select k.bucket, k.ticket_id, max(k.generation) as generation from ticket_tokens k
                    where ${inPart('k', part)} group by k.bucket, k.ticket_id) newest
          on newest.bucket = t.bucket and newest.ticket_id = t.ticket_id
       cross join (${floors(own)} and floor.event is null) everywhere
        left join (${floors(own)} and floor.event is not null group by floor.event) here on here.event = t.event
       where ${inPart('t', part)} and t.event <> ${own.event} and t.voided_at is null)
    select count(*)::float8 as tickets, count(*) filter (where verifies)::float8 as verify,
           count(*) filter (where verified and verifies is not true)::float8 as lost from judged`);

// The lowest generation that is accepted; `before` = without the generation that is proved.
const floors = (own: OwnGeneration) => sql`
  select max(floor.event) as event, coalesce(max(floor.generation), 0) as floor,
         coalesce(max(floor.generation) filter (where floor.generation <> ${sql.lit(own.generation)}), 0) as before
    from token_generations floor where ${reached('floor', own)}`;
