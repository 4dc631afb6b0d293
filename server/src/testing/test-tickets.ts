import { afterAll } from 'vitest';
import type { NewTicket } from '../domains/tickets/ticket.ts';
import { nextGeneration, partitionOf, stretchLength, stretchOf } from '../domains/tickets/ticket-rotation.ts';
import type { TicketToWrite } from '../domains/tickets/ticket-write-service.ts';
import { createTickets, type Tickets } from '../domains/tickets/tickets-service.ts';
import type { Database } from '../storage/database.ts';
import { dynamic, sql } from '../storage/sql.ts';
import { openTestDatabase } from './open-database.ts';
import { createTestClock, type TestClock } from './test-clock.ts';

export interface TestTickets {
  readonly db: Database;
  readonly url: string;
  readonly clock: TestClock;
  readonly tickets: Tickets;
}

/** A database, a clock that stands still, and the tickets domain on it. */
export async function openTestTickets(): Promise<TestTickets> {
  const { db, url } = await openTestDatabase();
  const clock = createTestClock();
  const tickets = createTickets({ db, clock, groupCommit: true });
  afterAll(() => tickets.drain());
  return { db, url, clock, tickets };
}

const givenTicket = (more: Partial<NewTicket> = {}): NewTicket => ({
  holder: 'H',
  event: 'E',
  ticketNumber: null,
  seat: null,
  ...more,
});

export const ticketToWrite = (more: Partial<NewTicket> = {}, requestKey: string | null = null): TicketToWrite => ({
  ticket: givenTicket(more),
  requestKey,
});

/** The cut-off of a rotation and nothing more: no new token is issued. @returns the new generation */
export async function cutOff(
  db: Database,
  { event = null, graceMs = 0 }: { readonly event?: string | null; readonly graceMs?: number } = {},
): Promise<number> {
  const generation = nextGeneration(await db.query(dynamic(sql`select generation from token_generations`)), event);
  const from = stretchOf(generation);
  await db.query(
    dynamic(sql`create table if not exists ${sql.id(partitionOf(generation))}
      partition of ticket_tokens for values from (${sql.lit(from)}) to (${sql.lit(from + stretchLength)})`),
  );
  await db.query(
    dynamic(sql`insert into token_generations (generation, event, refused_from)
      values (${generation}, ${event}, now() + ${`${graceMs} milliseconds`}::interval)`),
  );
  return generation;
}

/** Takes away all tickets and rotations. */
export async function clearTickets(db: Database): Promise<void> {
  const partitions = await db.query(
    dynamic<{ name: string }>(sql`select inhrelid::regclass::text as name from pg_inherits
      where inhparent = 'ticket_tokens'::regclass and inhrelid::regclass::text not in ('ticket_tokens_0', 'ticket_tokens_100000')`),
  );
  for (const { name } of partitions) await db.query(dynamic(sql`drop table ${sql.id(name)}`));
  await db.query(dynamic(sql`truncate tickets, ticket_keys, ticket_tokens`));
  await db.query(dynamic(sql`delete from token_generations where generation > 1`));
}

/**
 * What must hold of any database: each key has its ticket in its own bucket, each ticket a token, and each token the bucket and
 * the form of its own. The rules are written out in SQL here, apart from the code.
 * @returns the faults found, none if all is well
 */
export const ticketInconsistencies = (db: Database): Promise<{ fault: string; id: string }[]> =>
  db.query(
    dynamic(sql`
      select 'key without ticket' as fault, k.ticket_id::text as id from ticket_keys k left join tickets t using (ticket_id, bucket) where t.ticket_id is null
      union all
      select 'ticket without token', t.ticket_id::text from tickets t where not exists (select from ticket_tokens k where k.ticket_id = t.ticket_id and k.bucket = t.bucket)
      union all
      select 'token without ticket', k.ticket_id::text from ticket_tokens k left join tickets t using (ticket_id, bucket) where t.ticket_id is null
      union all
      select 'token away from home', ticket_id::text from ticket_tokens where bucket <> bucket_of_id(token) or token::text !~ '^.{14}4.{4}[89ab]'
      union all
      select 'ticket away from home', ticket_id::text from tickets where bucket <> bucket_of(holder) or bucket <> bucket_of_id(ticket_id)
      union all
      select 'number taken twice', min(ticket_id::text) from tickets where ticket_number is not null group by holder, ticket_number having count(*) > 1
      union all
      select 'number without key', t.ticket_id::text from tickets t where ticket_number is not null
         and not exists (select from ticket_keys k where k.ticket_id = t.ticket_id and k.bucket = t.bucket and k.kind = 'number' and k.key = t.ticket_number)
      union all
      select 'token twice', min(ticket_id::text) from ticket_tokens group by token having count(*) > 1`),
  );
