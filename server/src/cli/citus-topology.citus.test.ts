import { readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { withAdmin } from '../testing/admin.ts';
import { type CitusCluster, startCitusCluster } from '../testing/citus-cluster.ts';
import { freePort } from '../testing/free-port.ts';
import { type MilliardCommand, runMilliard, spawnMilliard } from '../testing/milliard-process.ts';
import { findNginx, type Nginx, startNginx } from '../testing/nginx.ts';
import { findRedisServer, type RedisServer, startRedisServer } from '../testing/redis-server.ts';
import { startTopologyLoad } from '../testing/topology-load.ts';

// The topology of deploy/compose.citus.yaml from processes of this machine: its settings of a node, its script that joins them, its
// DATABASE_URL and its nginx.conf, on other addresses. Prometheus and Grafana are left out; what they ask for is judged by
// http/dashboard.db.test.ts.
const textOf = (file: string): string => readFileSync(new URL(`../../../deploy/${file}`, import.meta.url), 'utf8');
const compose = parse(textOf('compose.citus.yaml'), { merge: true }) as {
  services: Record<string, { environment: Record<string, string>; command: readonly string[] }>;
};
const lacking = [findNginx() === null ? 'nginx' : '', findRedisServer() === null ? 'redis-server' : '']
  .join(' ')
  .trim();

describe.skipIf(lacking !== '')(
  `the topology of compose.citus.yaml${lacking === '' ? '' : `, NOT RUN without ${lacking}`}`,
  () => {
    let cluster: CitusCluster;
    let redis: RedisServer;
    let nginx: Nginx;
    let apiKey: string;
    const servers: { port: number; command: MilliardCommand }[] = [];

    /** The shipped text on the addresses of this machine. */
    const placed = (text: string): string => {
      const names = ['coordinator', 'worker-1', 'worker-2'];
      return names.reduce((changed, name, index) => {
        const { host = '', port = 0 } = cluster.nodes[index] ?? {};
        return changed
          .replaceAll(`('${name}', 5432)`, `('${host}', ${port})`)
          .replaceAll(`${name}:5432`, `${host}:${port}`);
      }, text);
    };
    const environment = (): Record<string, string> => ({
      DATABASE_URL: placed(compose.services['server-1']?.environment['DATABASE_URL'] ?? ''),
      REDIS_URL: redis.url,
      MILLIARD_TRUST_PROXY: '127.0.0.1',
    });
    const start = async (port: number): Promise<MilliardCommand> => {
      const command = spawnMilliard({ args: ['serve', '--port', String(port)], env: environment() });
      for (;;) {
        const answer = await fetch(`http://127.0.0.1:${port}/readyz`).catch(() => null);
        await answer?.arrayBuffer();
        if (answer?.ok === true) return command;
        if (!command.isRunning()) throw new Error(`milliard serve ended before it served:\n${command.output()}`);
        await delay(50);
      }
    };
    const stop = async ({ command }: { command: MilliardCommand }): Promise<number | null> => {
      if (command.isRunning()) process.kill(command.pid, 'SIGTERM');
      return await command.ended;
    };
    /** A scrape asks the nodes and waits a second at most; on a busy machine one may come without what they say. */
    const metricsOf = async (port: number): Promise<string> => {
      for (;;) {
        const text = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
        if (text.includes('milliard_cluster_node_up{')) return text;
        await delay(100);
      }
    };

    beforeAll(async () => {
      const words = compose.services['coordinator']?.command.filter((word) => word.includes('=')) ?? [];
      expect(words.length).toBeGreaterThan(5);
      cluster = await startCitusCluster({
        workers: 0,
        // Three nodes share this machine's memory.
        settings: { ...Object.fromEntries(words.map((word) => word.split('=', 2))), shared_buffers: '64MB' },
      });
      await cluster.startWorker();
      await cluster.startWorker();
      redis = await startRedisServer(findRedisServer() ?? '');
      // Twice: `docker compose up` runs the one-shot services again.
      for (let round = 0; round < 2; round++) {
        await withAdmin(cluster.coordinatorUrl, (admin) => admin.query(placed(textOf('citus-join.sql'))));
        const { code, stderr } = await runMilliard({ args: ['migrate'], env: environment() });
        expect([stderr, code]).toEqual([expect.any(String), 0]);
      }
      const create = ['keys', 'create', '--name', 'load', '--scopes', 'admin', '--json'];
      const created = await runMilliard({ args: create, env: environment() });
      apiKey = (JSON.parse(created.stdout) as { api_key: string }).api_key;
      for (let index = 0; index < 3; index++) {
        const port = await freePort();
        servers.push({ port, command: await start(port) });
      }
      nginx = await startNginx(
        findNginx() ?? '',
        servers.map(({ port }) => port),
      );
    });

    afterAll(async () => {
      await nginx?.stop();
      await Promise.all(servers.map(stop));
      await redis?.stop();
      await cluster?.stop();
    });

    test('every server tells of three nodes that answer, and the tables lie on both workers', async () => {
      for (const { port } of servers) {
        const text = await metricsOf(port);
        const up = [...text.matchAll(/^milliard_cluster_node_up\{.*role="(\w+)".*\} 1$/gm)].map(([, role]) => role);
        expect(up.sort()).toEqual(['coordinator', 'worker', 'worker']);
        const shards = [...text.matchAll(/^milliard_cluster_node_shards\{.*role="worker".*\} (\d+)$/gm)];
        expect(shards.map(([, count]) => Number(count))).toEqual([8, 8]);
      }
      const answer = await fetch(`${nginx.url}/api/v1/cluster`, { headers: { authorization: `Bearer ${apiKey}` } });
      expect(await answer.json()).toMatchObject({ topology: 'citus', shards: 16 });
    });

    test('each server in turn is stopped and started again under load: no read and no keyed POST fails, no order is lost or doubled', async () => {
      const load = startTopologyLoad(nginx.url, apiKey);
      try {
        await load.untilMore(200);
        for (const server of servers) {
          expect(await stop(server)).toBe(0);
          server.command = await start(server.port);
          await load.untilMore(200);
        }
      } finally {
        await load.stop();
      }
      const { rows } = await withAdmin(cluster.coordinatorUrl, (admin) =>
        admin.query<{ id: string; customer: string }>(
          `select order_id::text as id, customer_id as customer from orders where customer_id not like 'B%'`,
        ),
      );
      const stored = new Set(rows.map(({ id }) => id));
      const lost = load.acknowledged.filter(({ orderId }) => !stored.has(orderId)).length;
      // Each customer placed one order.
      const doubled = rows.length - new Set(rows.map(({ customer }) => customer)).size;
      const failed = load.failed.filter(({ what }) => what === 'read' || what === 'keyed order');
      console.log(
        `3 restarts on Citus: ${JSON.stringify({
          reads: load.sent('read'),
          keyedOrders: load.sent('keyed order'),
          bulks: load.sent('bulk'),
          failed: failed.length,
          failedOthers: load.failed.length - failed.length,
          acknowledged: load.acknowledged.length,
          lost,
          doubled,
        })}`,
      );
      expect({ failed, lost, doubled }).toEqual({ failed: [], lost: 0, doubled: 0 });
      expect(load.acknowledged.length).toBeGreaterThan(50);
    });
  },
);
