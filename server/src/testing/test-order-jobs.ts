import { afterEach, beforeEach, expect } from 'vitest';
import type { RejectedLine } from '../core/import-line.ts';
import type { Currency } from '../core/money.ts';
import type { Clock } from '../core/time.ts';
import { createOrderGenerateKind } from '../domains/orders/order-generate-jobs.ts';
import { createOrderImportKind } from '../domains/orders/order-import-jobs.ts';
import { createOrderVerifyKind } from '../domains/orders/order-verify-jobs.ts';
import type { OrderWriter } from '../domains/orders/order-write-service.ts';
import { createImportFiles } from '../flows/import-files.ts';
import type { JobKind, JobRun, RunId } from '../jobs/job.ts';
import type { Jobs } from '../jobs/jobs.ts';
import type { Database } from '../storage/database.ts';
import { dynamic, sql } from '../storage/sql.ts';
import { withCuts, withStops } from './stopped-runs.ts';
import { createTestJobs, noThrottle } from './test-jobs.ts';
import { emptyOrders, inconsistencies, openTestOrders, type TestOrders } from './test-orders.ts';

export const defaultCurrency = 'EUR' as Currency;

export interface TestOrderJobs extends TestOrders {
  /** Lines that were rejected, as they were told at the end of imports of this test. */
  told(): readonly RejectedLine[];
  /** An engine of its own, as if in another process, with batches of so many rows. */
  engine(rows: number): Jobs;
  start(kind: string, parameters: object): Promise<RunId>;
  /** Works at a run in engines that each stop at their first checkpoint, so often at most, until it is done. */
  withStops(runId: RunId, rows: () => number, limit?: number): Promise<{ run: JobRun; stops: number }>;
  /** The same through connections that are cut at one commit after the other, before or after PostgreSQL carried it out. */
  withCuts(runId: RunId, rows: number): Promise<JobRun>;
  /** All orders with their histories, each as one text. */
  stored(): Promise<string[]>;
  /** Tables that imports have put things away in. */
  importTables(): Promise<string[]>;
  empty(): Promise<unknown>;
}

/** Orders with the kinds of jobs about them. After each test the orders agree with their histories and nothing lies about. */
export async function openTestOrderJobs(): Promise<TestOrderJobs> {
  const opened = await openTestOrders();
  const { db, url, clock, writerOn } = opened;
  let told: RejectedLine[] = [];

  const engineOn = (on: Database, rows: number) =>
    createEngine({ db: on, writer: writerOn(on), clock, rows, tell: (line) => void told.push(line) });
  const engine = (rows: number) => engineOn(db, rows);
  const empty = async () => {
    await emptyOrders(db);
    await db.query(dynamic(sql`truncate milliard_jobs.job_runs cascade`));
  };
  const importTables = async () =>
    (
      await db.query(
        dynamic<{ name: string }>(
          sql`select relname as name from pg_class where relkind = 'r' and relname like 'order_import_%'`,
        ),
      )
    ).map(({ name }) => name);

  beforeEach(async () => {
    told = [];
    await empty();
  });
  afterEach(async () => {
    expect(await inconsistencies(db)).toEqual([]);
    expect(await importTables()).toEqual([]);
  });

  return {
    ...opened,
    told: () => told,
    engine,
    importTables,
    empty,
    start: async (kind, parameters) =>
      (await engine(1).start(kind, parameters, { actor: 'test', throttle: noThrottle })).run.runId,
    withStops: (runId, rows, limit = Number.POSITIVE_INFINITY) => withStops(runId, () => engine(rows()), limit),
    withCuts: (runId, rows) => withCuts(runId, url, (client) => engineOn(client, rows)),
    async stored() {
      const rows = await db.query(
        dynamic<{ text: string }>(sql`
          select concat_ws(' ', customer_id, order_number, placed_at, currency, total_minor, items, status, status_at, reason,
                   (select string_agg(concat_ws('/', status, occurred_at, reason, actor), ',' order by seq)
                      from order_statuses s where s.order_id = o.order_id and s.bucket = o.bucket)) as text
            from orders o order by 1`),
      );
      return rows.map(({ text }) => text);
    },
  };
}

interface EngineOptions {
  readonly db: Database;
  readonly writer: OrderWriter;
  readonly clock: Clock;
  readonly rows: number;
  readonly tell: (line: RejectedLine) => void;
}

function createEngine({ db, writer, clock, rows, tell }: EngineOptions): Jobs {
  const files = {
    ...createImportFiles(),
    openRejected: async () => ({ add: async (line: RejectedLine) => tell(line), close: async () => {} }),
  };
  const kinds = [
    createOrderGenerateKind({ writer, clock, defaultCurrency }) as unknown as JobKind,
    createOrderImportKind({ writer, defaultCurrency, files }) as unknown as JobKind,
    createOrderVerifyKind() as unknown as JobKind,
  ];
  return createTestJobs(db, {
    kinds: kinds.map((kind) => ({ ...kind, batchRows: { initial: rows, min: rows, max: rows } })),
  });
}
