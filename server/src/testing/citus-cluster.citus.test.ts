import { expect, test } from 'vitest';
import { withAdmin } from './admin.ts';
import { startCitusCluster } from './citus-cluster.ts';

test('a cluster keeps its rows through the loss, the freezing and the return of a worker, and ends without a trace', async () => {
  await using cluster = await startCitusCluster({ workers: 2, durable: true });
  const [, first, second] = cluster.nodes;
  if (first === undefined || second === undefined) throw new Error('two workers were asked for');
  await withAdmin(cluster.coordinatorUrl, async (admin) => {
    await admin.query(`create table t (k int primary key); set citus.shard_count = 4`);
    await admin.query(`select create_distributed_table('t', 'k')`);
    await admin.query('insert into t select generate_series(1, 100)');
    const count = async () => (await admin.query('select count(*)::int as n from t')).rows[0].n;
    expect(await count()).toBe(100);

    await first.kill();
    await expect(count()).rejects.toMatchObject({ code: expect.stringMatching(/^(08006|XX000)$/) });
    await first.start();
    expect(await count()).toBe(100);

    await second.freeze();
    await expect(admin.query(`set statement_timeout = '1s'`).then(count)).rejects.toMatchObject({ code: '57014' });
    await second.thaw();
  });
  await withAdmin(cluster.coordinatorUrl, async (admin) => {
    expect((await admin.query('select count(*)::int as n from t')).rows[0].n).toBe(100);
    const added = await cluster.startWorker();
    const nodes = () =>
      admin.query('select nodeport from pg_dist_node where groupid > 0').then(({ rowCount }) => rowCount);
    expect(await nodes()).toBe(2);
    await admin.query('select citus_add_node($1, $2)', [added.host, added.port]);
    expect(await nodes()).toBe(3);
  });
});
