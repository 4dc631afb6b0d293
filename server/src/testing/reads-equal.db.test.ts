import { finished } from 'node:stream/promises';
import pg from 'pg';
import { from as copyFrom, to as copyTo } from 'pg-copy-streams';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Day, dayOf, formatDay } from '../core/days.ts';
import { systemClock } from '../core/time.ts';
import { distributionOf } from '../storage/distribution.ts';
import { migrate } from '../storage/migrator.ts';
import { withAdmin } from './admin.ts';
import { onCitus } from './on-citus.ts';
import { findPostgres15, startPostgres15 } from './postgres-15.ts';
import { openTestApi } from './test-api.ts';
import { noThrottle } from './test-jobs.ts';

const bin = findPostgres15();

// The same rows in a cluster and in a single PostgreSQL beside it: what the API answers must not tell them apart.
describe.skipIf(!onCitus || bin === null)(
  'the answers of a cluster and of a single PostgreSQL with the same rows',
  async () => {
    const single = await startPostgres15(bin ?? '', {});
    afterAll(() => single.stop());
    await migrate({ url: single.url });
    const onCluster = await openTestApi();
    const onSingle = await openTestApi({ databaseUrl: single.url });
    const today = dayOf(systemClock.now());
    const day = (ago: number) => formatDay((today - ago) as Day);
    const month = `from=${day(60)}&to=${day(0)}`;

    beforeAll(async () => {
      const { app } = onCluster;
      for (const [kind, parameters] of [
        ['orders.generate', { count: 1500, customers: 40 }],
        ['shipments.generate', { count: 800, seed: 1 }],
        ['tickets.generate', { count: 600 }],
        ['usage.generate', { count: 3000, seed: 1 }],
      ] as const) {
        const { run } = await app.jobs.start(kind, parameters, { actor: 'test', throttle: noThrottle });
        const ended = await app.jobs.runHere(run.runId, { signal: new AbortController().signal, whenStopped: 'pause' });
        expect(ended, ended.error ?? '').toMatchObject({ state: 'done' });
      }
      await app.usage.rollup.once();
      await copyRows(onCluster.databaseUrl, single.url);
      await onSingle.app.usage.refreshHorizon();
    });

    const answersOf = async (url: string) =>
      Promise.all(
        [onCluster, onSingle].map(async ({ server }) => {
          const { statusCode, body } = await server.fastify.inject({ url });
          return { statusCode, body: comparable(body) };
        }),
      );

    /** Every page of a list from both. @returns how many items */
    async function expectSamePages(url: string): Promise<number> {
      let items = 0;
      for (let next: string | null = url; next !== null; ) {
        const [ours, theirs] = await answersOf(next);
        expect(ours, next).toEqual(theirs);
        expect(ours?.statusCode, `${next} ${JSON.stringify(ours?.body)}`).toBe(200);
        const page = ours?.body as { items: readonly unknown[]; next_cursor: string | null };
        items += page.items.length;
        next = page.next_cursor === null ? null : `${url}${url.includes('?') ? '&' : '?'}cursor=${page.next_cursor}`;
      }
      return items;
    }

    test.each([
      'orders?limit=200',
      'orders?limit=200&order=oldest',
      'orders?limit=100&status=cancelled',
      'orders?limit=100&status=cancelled,pending',
      'shipments?limit=200',
      'shipments?limit=100&status=delivered',
      'shipments?limit=100&country=DE',
      'shipments?limit=100&needs_attention=true',
      `usage/metrics?limit=200&${month}`,
      `usage/metrics?limit=200&${month}&group_by=day`,
      `usage/metrics?limit=200&${month}&fresh=true`,
      'usage/over-limit?limit=100&price_limit=1',
      `usage/over-limit?limit=100&price_limit=1&${month}&fresh=true`,
      'usage/subscriptions?limit=100',
    ])('%s, page by page', async (path) => {
      const [first] = await answersOf(`/api/v1/${path}`);
      // A parameter that the API does not know is a fault of this test.
      expect(first?.statusCode, JSON.stringify(first?.body)).toBe(200);
      await expectSamePages(`/api/v1/${path}`);
    });

    test('there is something to compare', async () => {
      expect(await expectSamePages('/api/v1/orders?limit=500')).toBeGreaterThan(1000);
      expect(await expectSamePages('/api/v1/shipments?limit=500')).toBe(800);
    });

    test('the lists of a customer, a holder and an event; each single order, shipment, ticket and token; counts', async () => {
      const of = (text: string) => withAdmin(single.url, async (admin) => (await admin.query(text)).rows);
      const urls = [
        '/api/v1/orders/count',
        '/api/v1/orders/count?status=complete',
        '/api/v1/shipments/count',
        '/api/v1/usage/types',
      ];
      for (const { id } of await of('select distinct customer_id as id from orders order by 1 limit 10'))
        urls.push(`/api/v1/orders?customer_id=${encodeURIComponent(id)}&limit=50`);
      for (const { id } of await of('select order_id as id from orders order by 1 limit 25'))
        urls.push(`/api/v1/orders/${id}`, `/api/v1/orders/${id}/history`);
      for (const { id, holder, event } of await of(
        'select ticket_id as id, holder, event from tickets order by 1 limit 15',
      ))
        urls.push(
          `/api/v1/tickets/${id}`,
          `/api/v1/tickets?holder=${encodeURIComponent(holder)}`,
          `/api/v1/tickets?event=${encodeURIComponent(event)}&limit=100`,
        );
      for (const { c, n } of await of(
        'select carrier as c, tracking_number as n from shipments order by 1, 2 limit 25',
      ))
        urls.push(
          `/api/v1/shipments/${encodeURIComponent(c)}/${encodeURIComponent(n)}`,
          `/api/v1/track/${encodeURIComponent(c)}/${encodeURIComponent(n)}`,
        );
      for (const { id } of await of('select distinct subscription_id as id from usage_totals order by 1 limit 10'))
        urls.push(`/api/v1/usage/metrics?subscription_id=${encodeURIComponent(id)}&${month}&group_by=day`);
      for (const url of urls) {
        const [ours, theirs] = await answersOf(url);
        expect(ours, url).toEqual(theirs);
        expect(ours?.statusCode, `${url} ${JSON.stringify(ours?.body)}`).toBe(200);
      }
    });
  },
);

/** What depends on the moment of the answer or on the server is left out. */
function comparable(body: string): unknown {
  const leftOut = new Set(['as_of', 'request_id', 'next', 'prev']);
  return JSON.parse(body, (key, value: unknown) => (leftOut.has(key) ? undefined : value));
}

/** All rows of the tables that reads are about. */
async function copyRows(fromUrl: string, toUrl: string): Promise<void> {
  const [source, target] = [new pg.Client(fromUrl), new pg.Client(toUrl)];
  await Promise.all([source.connect(), target.connect()]);
  try {
    for (const client of [source, target]) await client.query(`set timezone = 'UTC'`);
    const partitions = `select p.relname as parent, c.relname as name, pg_get_expr(c.relpartbound, c.oid) as bound
      from pg_inherits i join pg_class c on c.oid = i.inhrelid join pg_class p on p.oid = i.inhparent where p.relkind = 'p'`;
    const { rows: wanted } = await source.query<{ parent: string; name: string; bound: string }>(partitions);
    for (const { parent, name, bound } of wanted)
      await target.query(`create table if not exists ${name} partition of ${parent} ${bound}`);
    const tables = Object.keys(distributionOf).filter(
      (name) => !/milliard_jobs|server_leases|api_keys|audit_log/.test(name),
    );
    await target.query(`truncate ${tables.join(', ')}`);
    for (const table of tables) {
      const reading = source.query(copyTo(`copy (select * from ${table}) to stdout`));
      const writing = target.query(copyFrom(`copy ${table} from stdin`));
      reading.pipe(writing);
      await finished(writing);
    }
  } finally {
    await Promise.all([source.end(), target.end()]);
  }
}
