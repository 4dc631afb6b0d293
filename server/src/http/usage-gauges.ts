import { Gauge, type Registry } from 'prom-client';
import type { UsageLag } from '../domains/usage/usage-service.ts';
import { createAsk } from './job-metrics.ts';

/** Gauges of the rollup, from one statement a scrape. NaN while the database cannot be asked. */
export function addUsageGauges(registers: Registry[], { usageLag }: { usageLag(): Promise<UsageLag> }): void {
  const ask = createAsk(usageLag);
  const add = (name: string, help: string, amountOf: (lag: UsageLag) => number): void => {
    const gauge = new Gauge({
      name,
      help,
      registers,
      async collect() {
        const lag = await ask();
        gauge.set(lag === null ? Number.NaN : amountOf(lag));
      },
    });
  };
  add(
    'milliard_usage_rollup_lag_seconds',
    'Age of the oldest batch of usage that is not rolled up; 0 when there is none. Above a minute: nobody rolls up.',
    ({ oldestOpenAt }) => (oldestOpenAt === null ? 0 : Math.max(0, Date.now() - oldestOpenAt) / 1_000),
  );
  add('milliard_usage_open_batches', 'Batches of usage that are not rolled up yet.', ({ openBatches }) => openBatches);
  add('milliard_usage_open_rows', 'Rows of these batches.', ({ openRows }) => Number(openRows));
}
