import { afterAll, expect, test } from 'vitest';
import { openApp } from '../app.ts';
import { parseConfig } from '../config.ts';
import { silentLogger } from '../core/ports.ts';
import { migrate } from '../storage/migrator.ts';
import { withAdmin } from '../testing/admin.ts';
import { startCitusCluster } from '../testing/citus-cluster.ts';
import { noThrottle } from '../testing/test-jobs.ts';

const cluster = await startCitusCluster({ workers: 2 });
afterAll(() => cluster.stop());
await migrate({ url: cluster.coordinatorUrl, shards: 4 });
const worker = cluster.nodes.find(({ role }) => role === 'worker');

/** A server whose DATABASE_URL names this node. */
async function serverOn(databaseUrl: string) {
  const app = await openApp(parseConfig({}), { databaseUrl, logger: silentLogger, applicationName: 'one runner' });
  afterAll(() => app.close());
  return app;
}
const first = await serverOn(cluster.coordinatorUrl);
const second = await serverOn(worker?.url ?? '');

const day = new Date(Date.now() - 86_400_000).toISOString().slice(0, 10);
const store = (app: typeof first, records: number, name: string) =>
  app.usage.ingest({
    documents: Array.from({ length: records }, (_, i) => ({
      ...{ record_id: `${name}-${i}`, subscription_id: `S${i % 20}`, usage_type: 'data' },
      ...{ used_at: `${day}T10:00:00Z`, used: 1, price: '0.01' },
    })),
    ...{ actor: 'test', producerKey: null, contentHash: null },
  });

const rowsOf = <Row extends object>(text: string): Promise<Row[]> =>
  withAdmin(cluster.coordinatorUrl, async (admin) => (await admin.query<Row>(text)).rows);

test('servers of different nodes roll up one at a time, and every record is counted once', async () => {
  await store(second, 10, 'held');
  await withAdmin(cluster.coordinatorUrl, async (admin) => {
    // Whoever rolls up holds this lock of the coordinator.
    await admin.query('select pg_advisory_lock(1835625067, 0)');
    let isOver = false;
    const rolling = second.usage.rollup.once().finally(() => {
      isOver = true;
    });
    const waiting = `select from pg_stat_activity where wait_event = 'advisory' and query like '%1835625067%'`;
    await expect.poll(async () => (await rowsOf(waiting)).length, { timeout: 20_000 }).toBeGreaterThan(0);
    expect(isOver).toBe(false);
    await admin.query('select pg_advisory_unlock(1835625067, 0)');
    await rolling;
  });
  const rollups = [first.usage.rollup.start(), second.usage.rollup.start()];
  for (let i = 0; i < 20; i++) await Promise.all([store(first, 25, `a${i}`), store(second, 25, `b${i}`)]);
  await Promise.all(rollups.map((rollup) => rollup.close()));
  await Promise.all([first.usage.rollup.once(), second.usage.rollup.once()]);
  expect(
    await rowsOf('select sum(records)::int as records, sum(total_price)::text as price from usage_totals'),
  ).toEqual([{ records: 1_010, price: '10.10' }]);
});

test('a run that servers of different nodes want at once is worked at by one of them', async () => {
  const parameters = { count: 3_000, seed: 1 };
  const { run } = await first.jobs.start('usage.generate', parameters, { actor: 'test', throttle: noThrottle });
  const here = { signal: new AbortController().signal, whenStopped: 'pause' } as const;
  const ended = await Promise.allSettled([first, second].map((app) => app.jobs.runHere(run.runId, here)));
  expect(ended.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
  expect(await first.jobs.get(run.runId)).toMatchObject({ state: 'done', doneRows: 3_000 });
  const [all] = await rowsOf<{ n: number }>('select count(*)::int as n from usage_records');
  expect(all?.n).toBe(1_010 + 3_000);
});
