import { afterAll } from 'vitest';
import { dayOf } from '../core/days.ts';
import { silentLogger } from '../core/ports.ts';
import type { Instant } from '../core/time.ts';
import { usageKinds } from '../domains/usage/usage-jobs.ts';
import { openUsage, type Usage } from '../domains/usage/usage-service.ts';
import { createImportFiles } from '../flows/import-files.ts';
import type { JobRun } from '../jobs/job.ts';
import type { Jobs } from '../jobs/jobs.ts';
import type { Database } from '../storage/database.ts';
import { dynamic, sql } from '../storage/sql.ts';
import { openTestDatabase } from './open-database.ts';
import { createTestJobs, noThrottle, stopAtEnd } from './test-jobs.ts';

/** Noon of a Saturday; the fourteen days before it take raw usage. */
export const usageNow = Date.parse('2026-11-21T12:00:00.000Z') as Instant;
export const usageToday = dayOf(usageNow);

export interface UsageWorld {
  readonly db: Database;
  readonly url: string;
  readonly usage: Usage;
  readonly jobs: Jobs;
  /** Runs a job to its end. */
  run(kind: string, parameters: unknown): Promise<JobRun>;
  /** Lines of CSV: subscription, day, price; each is a record of its own. */
  send(...lines: string[]): Promise<void>;
  /** `SUB1 data 11-20: 2 records, 200 used, 0.30`, in their order; totals have no day. */
  sums(): Promise<string[]>;
}

/** Usage in a database of the test file's own, in the midst of 2026-11-21, with the jobs about it. */
export async function openUsageWorld(): Promise<UsageWorld> {
  const { db, url } = await openTestDatabase({ poolSize: 10 });
  const clock = { now: () => usageNow };
  const usage = await openUsage({
    ...{ db, clock, logger: silentLogger, rawDays: 14, rollupPauseMs: 100, groupCommit: true },
  });
  afterAll(() => usage.drain());
  const jobs = createTestJobs(db, {
    kinds: usageKinds({ usage, clock, files: createImportFiles() }),
    logger: silentLogger,
  });
  const signal = stopAtEnd();
  let sent = 0;
  return {
    ...{ db, url, usage, jobs },
    async run(kind, parameters) {
      const { run } = await jobs.start(kind, parameters, { actor: 'tester', throttle: noThrottle });
      return jobs.runHere(run.runId, { signal, whenStopped: 'pause' });
    },
    async send(...lines) {
      const rows = lines.map((line) => {
        const [subscription, day, price] = line.split(' ');
        return `r${++sent},${subscription},data,${day}T10:00:00Z,100,${price}\n`;
      });
      const csv = `record_id,subscription_id,usage_type,used_at,used,price\n${rows.join('')}`;
      const source = (async function* () {
        yield Buffer.from(csv);
      })();
      for await (const part of usage.importBytes(source, { format: 'csv', actor: 'test', producerKey: null })) {
        if (part.rejectedRows > 0) throw new Error(JSON.stringify(part.rejected));
      }
    },
    sums: async () => {
      const rows = await db.query(
        dynamic<{ line: string }>(sql`
          select subscription_id || ' ' || usage_type || ' ' || to_char(day, 'MM-DD') || ': ' || records || ' records, ' || total_used || ' used, ' || total_price as line
            from usage_daily
          union all
          select subscription_id || ' ' || usage_type || ': ' || records || ' records, ' || total_used || ' used, ' || total_price
            from usage_totals order by 1`),
      );
      return rows.map(({ line }) => line);
    },
  };
}

/** Whether every sum is what the raw rows and adjustments say, asked without any code of the product. */
export async function usageDifferences(db: Database): Promise<readonly unknown[]> {
  return db.query(
    dynamic(sql`
      with truth as (
        select subscription_id, usage_type, day, sum(n) as n, sum(u) as u, sum(p) as p from (
          select subscription_id, usage_type, day, 1 as n, used::numeric as u, price as p from usage_records
           where batch_id not in (select batch_id from usage_batches where rolled_up_at is null)
          union all
          select subscription_id, usage_type, day, records_delta, used_delta, price_delta from usage_adjustments
           where batch_id not in (select batch_id from usage_batches where rolled_up_at is null)) r
         group by 1, 2, 3)
      select 'day' as what, subscription_id, day::text from truth full join usage_daily d using (subscription_id, usage_type, day)
       where (n, u, p) is distinct from (records, total_used, total_price)
         and day >= coalesce((select dropped_before from usage_horizon), '-infinity')
      union all
      select 'total', subscription_id, null
        from (select subscription_id, usage_type, sum(records) as n, sum(total_used) as u, sum(total_price) as p from usage_daily group by 1, 2) t
        full join usage_totals using (subscription_id, usage_type)
       where (n, u, p, usage_price_level(p)) is distinct from (records, total_used, total_price, price_level)`),
  );
}
