import type { TicketId, TicketToken } from '../core/ids.ts';
import { type Instant, systemClock } from '../core/time.ts';
import type { NewTicket } from '../domains/tickets/ticket.ts';
import { purgeTokensKind } from '../domains/tickets/ticket-purge-jobs.ts';
import { rotateTokensKind } from '../domains/tickets/ticket-rotate-jobs.ts';
import { stretchLength } from '../domains/tickets/ticket-rotation.ts';
import type { TokenVerdict } from '../domains/tickets/ticket-token.ts';
import { createTickets, type Tickets } from '../domains/tickets/tickets-service.ts';
import type { BatchResult, JobBatch, JobKind, JobRun, Json } from '../jobs/job.ts';
import type { Jobs } from '../jobs/jobs.ts';
import type { Database } from '../storage/database.ts';
import { dynamic, sql } from '../storage/sql.ts';
import { createTestJobs, noThrottle } from './test-jobs.ts';

/** Called before each batch of a rotation is done, with the tickets done so far. */
export type BatchHook = (batch: JobBatch<Json, unknown>) => Promise<void>;

export interface TestRotation {
  readonly tickets: Tickets;
  /** Verification on a machine whose clock is ahead by so much. */
  setAhead(ms: number): void;
  /** An engine of its own, as if in another process; batches of 50 tickets. */
  engine(hook?: BatchHook): Jobs;
  /** Issues so many tickets for each event. */
  issue(events: Readonly<Record<string, number>>): Promise<Issued[]>;
  /** Starts a rotation and works at it to its end. */
  rotate(parameters?: object, hook?: BatchHook): Promise<JobRun>;
  verdicts(tokens: readonly Issued[]): Promise<Record<string, number>>;
  /** The tokens that the same tickets have now. */
  reread(issued: readonly Issued[]): Promise<Issued[]>;
  /** Rows of ticket_tokens by generation. */
  stored(): Promise<Record<number, number>>;
  /** Makes everything as it was after the migration. */
  reset(): Promise<void>;
}

export interface Issued {
  readonly id: TicketId;
  readonly event: string;
  readonly token: TicketToken;
}

// As 0004_tickets.sql makes them.
const partitionsAsMigrated = `
  do $$ declare name text; begin
    for name in select relname from pg_inherits join pg_class on oid = inhrelid where inhparent = 'ticket_tokens'::regclass loop
      execute format('drop table %I', name);
    end loop;
  end $$;
  create table ticket_tokens_0 partition of ticket_tokens for values from (0) to (${stretchLength});
  create table ticket_tokens_${stretchLength} partition of ticket_tokens for values from (${stretchLength}) to (${2 * stretchLength});`;

let numbers = 0;

export function openTestRotation(db: Database): TestRotation {
  let aheadMs = 0;
  const clock = { now: () => (systemClock.now() + aheadMs) as Instant };
  const tickets = createTickets({ db, clock, groupCommit: true });
  const engine = (hook?: BatchHook) =>
    createTestJobs(db, {
      kinds: [inSmallBatches(rotateTokensKind() as unknown as JobKind, hook), purgeTokensKind() as unknown as JobKind],
    });

  const tokenOf = async (id: TicketId, event: string): Promise<Issued> => ({
    id,
    event,
    token: await tickets.getToken(id),
  });
  return {
    tickets,
    setAhead(ms) {
      aheadMs = ms;
    },
    engine,
    async issue(events) {
      const wanted = Object.entries(events).flatMap(([event, count]) =>
        Array.from(
          { length: count },
          (): NewTicket => ({ holder: `H${numbers++}`, event, ticketNumber: null, seat: null }),
        ),
      );
      const outcomes = await tickets.writer.write(
        wanted.map((ticket) => ({ ticket, requestKey: null })),
        { by: 'insert' },
      );
      return Promise.all(
        outcomes.map((outcome) => {
          if (outcome.kind !== 'created') throw new Error(outcome.kind);
          return tokenOf(outcome.ticket.ticketId, outcome.ticket.event);
        }),
      );
    },
    async rotate(parameters = {}, hook) {
      const jobs = engine(hook);
      const { run } = await jobs.start(
        'tickets.rotate',
        { reason: 'leak', ...parameters },
        { actor: 'tester', throttle: noThrottle },
      );
      return jobs.runHere(run.runId, { signal: new AbortController().signal, whenStopped: 'pause' });
    },
    async verdicts(tokens) {
      const counts: Partial<Record<TokenVerdict, number>> = {};
      for (const { verdict } of await Promise.all(tokens.map(({ token }) => tickets.verifyToken(token))))
        counts[verdict] = (counts[verdict] ?? 0) + 1;
      return counts;
    },
    reread: (issued) => Promise.all(issued.map(({ id, event }) => tokenOf(id, event))),
    async stored() {
      const rows = await db.query(
        dynamic<{ generation: number; n: number }>(
          sql`select generation, count(*)::int as n from ticket_tokens group by generation order by generation`,
        ),
      );
      return Object.fromEntries(rows.map(({ generation, n }) => [generation, n]));
    },
    async reset() {
      aheadMs = 0;
      await db.query(
        dynamic(sql`truncate tickets, ticket_keys, ticket_tokens, audit_log, milliard_jobs.job_runs cascade`),
      );
      await db.query(dynamic(sql`delete from token_generations where generation > 1`));
      await db.session((session) => session.script(partitionsAsMigrated));
    },
  };
}

function inSmallBatches(kind: JobKind, hook?: BatchHook): JobKind {
  return {
    ...kind,
    batchRows: { initial: 50, min: 10, max: 50 },
    async open(context) {
      const work = await kind.open(context);
      return {
        ...work,
        async apply(tx, batch): Promise<BatchResult> {
          await hook?.(batch);
          return work.apply(tx, batch);
        },
      };
    },
  };
}
