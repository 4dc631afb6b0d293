import type { TicketId } from '../../core/ids.ts';
import { dynamic, type Statement, sql, statement } from '../../storage/sql.ts';
import { partitionOf, stretchLength, stretchOf } from './ticket-rotation.ts';

/** A rotation whose old tokens need not be told from unknown ones any longer. */
export interface DuePurge {
  readonly generation: number;
  readonly event: string | null;
}

/** Oldest first, behind `after`. */
export const duePurges = statement<DuePurge, [number]>(
  'due_purges',
  `select generation, event from token_generations
    where purge_from <= now() and refused_from <= now() and purged_at is null and generation > $1 order by generation`,
  (after) => [after],
);

/** Tickets of the events whose old tokens are due. */
export const countDueTickets = statement<{ rows: number }>(
  'count_due_tickets',
  `select count(*)::float8 as rows from token_generations g join tickets t on t.event = g.event
    where g.purge_from <= now() and g.refused_from <= now() and g.purged_at is null`,
);

export const markPurged = statement<never, [number]>(
  'mark_purged',
  'update token_generations set purged_at = now() where generation = $1 and purged_at is null',
  (generation) => [generation],
);

/** A rotation of all tickets takes the tokens of every rotation before it along. */
export const markPurgedUpTo = statement<never, [number]>(
  'mark_purged_up_to',
  'update token_generations set purged_at = now() where generation <= $1 and purged_at is null and refused_from is not null',
  (generation) => [generation],
);

/** Tokens of earlier generations of some tickets of one event, by the index of the event. */
export const deleteOldTokens = (
  { generation, event }: { readonly generation: number; readonly event: string },
  after: TicketId,
  upTo: TicketId,
): Statement<{ deleted: number }> =>
  dynamic(sql`
    with deleted as (
      delete from ticket_tokens k using tickets t
       where t.event = ${event} and t.ticket_id > ${after}::uuid and t.ticket_id <= ${upTo}::uuid
         and k.bucket = t.bucket and k.ticket_id = t.ticket_id and k.generation < ${sql.lit(generation)}
      returning 1)
    select count(*)::int as deleted from deleted`);

/** Partitions of ticket_tokens, by the first generation of each, oldest first. */
export const tokenPartitions = statement<{ stretch: number }>(
  'token_partitions',
  `select substring(c.relname from '^ticket_tokens_(\\d+)$')::int as stretch
     from pg_inherits i join pg_class c on c.oid = i.inhrelid
    where i.inhparent = 'ticket_tokens'::regclass and c.relname ~ '^ticket_tokens_\\d+$' order by 1`,
);

/** The newest generation of all tickets that is in force: partitions in front of it hold refused tokens only. */
export const newestInForce = statement<{ generation: number }>(
  'newest_in_force',
  'select generation from token_generations where event is null and refused_from <= now() order by generation desc limit 1',
);

/** The same of those whose keep period is over. */
export const newestToKeep = statement<{ generation: number }>(
  'newest_to_keep',
  `select generation from token_generations
    where event is null and refused_from <= now() and purge_from <= now() order by generation desc limit 1`,
);

/** CREATE and ATTACH in one transaction: neither takes a lock that requests wait for. */
export function createPartition(generation: number): Statement<never>[] {
  const name = sql.id(partitionOf(generation));
  const [from, to] = [sql.lit(stretchOf(generation)), sql.lit(stretchOf(generation) + stretchLength)];
  return [
    dynamic(sql`create table ${name} (like ticket_tokens including all)`),
    dynamic(sql`alter table ticket_tokens attach partition ${name} for values from (${from}) to (${to})`),
  ];
}

/**
 * Waits for the lock of the whole table for so short a time that requests, which queue behind it, do not notice.
 * A text of constants: several statements at once have no values.
 */
export const dropPartitionScript = (stretch: number, lockTimeoutMs: number): string =>
  `begin; set local lock_timeout = ${Math.floor(lockTimeoutMs)}; drop table if exists ${partitionOf(stretch)}; commit`;
