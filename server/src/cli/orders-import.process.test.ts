import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { Currency } from '../core/money.ts';
import { formatInstant, type Instant } from '../core/time.ts';
import { generateOrders } from '../domains/orders/order-generator.ts';
import { dynamic, sql } from '../storage/sql.ts';
import { openDataFolder } from '../testing/data-folder.ts';
import type { MilliardCommand } from '../testing/milliard-process.ts';
import { inconsistencies } from '../testing/test-orders.ts';

const orderCount = 6_000;

const { folder, server, db, start, ...commands } = await openDataFolder('import test');

const lines = [
  ...generateOrders({
    count: orderCount,
    customers: 50,
    zipf: 1,
    from: Date.UTC(2025, 0, 1) as Instant,
    to: Date.UTC(2025, 1, 1) as Instant,
    cancelledShare: 0.1,
    seed: 1,
    currency: 'EUR' as Currency,
  }),
].map((order) =>
  JSON.stringify({
    order_number: order.orderNumber,
    customer_id: order.customerId,
    placed_at: formatInstant(order.placedAt ?? (0 as Instant)),
    currency: order.currency,
    items: order.items,
    statuses: (order.statuses ?? []).map(({ status, occurredAt, reason }) => ({
      status,
      occurred_at: formatInstant(occurredAt),
      ...(reason === null ? {} : { reason }),
    })),
  }),
);
const content = `${lines.join('\n')}\n`;

async function run(...args: string[]) {
  const done = await commands.run(...args);
  return { ...done, last: () => JSON.parse(done.stdout.trim().split('\n').at(-1) ?? '') };
}

const count = async (): Promise<number> =>
  Number((await db.query(dynamic<{ count: bigint }>(sql`select count(*) as count from orders`)))[0]?.count);

/** Starts an import from a pipe that never ends and waits until some of it is stored. */
async function startHalf(): Promise<MilliardCommand> {
  const cli = start('orders', 'import', '-', '--json');
  cli.child.stdin.write(`${lines.slice(0, 4_500).join('\n')}\n`);
  await expect.poll(count, { timeout: 60_000, interval: 20 }).toBeGreaterThan(0);
  return cli;
}

const empty = () => db.query(dynamic(sql`truncate orders, order_statuses, order_keys`));

async function expectWholeAfter(first: number): Promise<void> {
  const file = join(folder, 'orders.ndjson');
  await writeFile(file, content);
  const again = await run('orders', 'import', file, '--json');
  expect(again.exitCode).toBe(0);
  const { orders_created, orders_replayed, orders_rejected } = again.last();
  expect({ whole: orders_created + orders_replayed, orders_rejected }).toEqual({
    whole: orderCount,
    orders_rejected: 0,
  });
  expect(orders_replayed).toBeGreaterThanOrEqual(first);
  expect(await count()).toBe(orderCount);
  expect(await inconsistencies(db)).toEqual([]);
}

test('an import killed with -9 in the middle and sent again is whole and has nothing twice', async () => {
  const { child, ended } = await startHalf();
  child.kill('SIGKILL');
  await ended;
  const first = await count();
  expect(first).toBeLessThan(orderCount);
  await expectWholeAfter(first);
});

test.each([
  ['SIGINT', 130],
  ['SIGTERM', 143],
] as const)('%s ends an import that waits for its pipe with %i', async (signal, exitCode) => {
  await empty();
  const { child, texts, ended } = await startHalf();
  child.kill(signal);
  await ended;
  expect({ exitCode: child.exitCode, stdout: texts.stdout }).toEqual({ exitCode, stdout: '' });
  expect(texts.stderr).toMatch(/milliard: (interrupted|terminated)/);
  await expectWholeAfter(await count());
});

test('rejected rows come out as a file that can be mended and imported as it stands', async () => {
  await empty();
  const [input, errors] = [join(folder, 'in.csv'), join(folder, 'errors.csv')];
  const header = 'order_number,customer_id,placed_at,sku,quantity,unit_price,note';
  const rows = [
    'A,C,2025-06-01T00:00:00Z,S,1,25,x',
    'B,C,2025-06-01T00:00:00Z,S,1,-25,"y, z"',
    'B,C,2025-06-01T00:00:00Z,T,2,1,',
  ];
  await writeFile(input, [header, ...rows].join('\n'));
  const first = await run('orders', 'import', input, '--errors', errors, '--json');
  expect(first).toMatchObject({ exitCode: 0 });
  expect(first.last()).toEqual({
    rows: 3,
    rows_rejected: 2,
    orders_created: 1,
    orders_replayed: 0,
    orders_rejected: 1,
    items: 1,
  });
  expect((await run('orders', 'import', input, '--strict')).exitCode).toBe(3);

  const rejected = await readFile(errors, 'utf8');
  await writeFile(errors, rejected.replace(',-25,', ',25,'));
  const second = await run('orders', 'import', errors, '--json');
  expect(second.last()).toEqual({
    rows: 2,
    rows_rejected: 0,
    orders_created: 1,
    orders_replayed: 0,
    orders_rejected: 0,
    items: 2,
  });
});

test('what was brought in can be listed, shown, taken out and verified', async () => {
  await empty();
  const made = await run('orders', 'generate', '--count', '300', '--seed', '3', '--json');
  expect(made.last()).toMatchObject({ seed: 3, orders_created: 300, orders_rejected: 0 });
  expect((await run('orders', 'generate', '--count', '300', '--seed', '3', '--json')).last()).toMatchObject({
    orders_replayed: 300,
  });

  const exported = await run('orders', 'export', '--oldest');
  const documents = exported.stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  expect(documents).toHaveLength(300);
  expect(documents.map(({ order_id }) => order_id)).toEqual(documents.map(({ order_id }) => order_id).sort());
  const listed = await run('orders', 'list', '--oldest', '--limit', '1', '--json');
  expect(listed.last()).toEqual(documents[0]);
  const shown = await run('orders', 'get', documents[0].order_id, '--json');
  expect(shown.last()).toMatchObject({ ...documents[0], history: [{ seq: 1, status: 'pending' }, {}] });

  expect((await run('verify', 'orders', '--json')).last()).toMatchObject({ orders: 300, keys: 300, differences: 0 });
  await db.query(dynamic(sql`update orders set status = 'pending' where order_id = ${documents[0].order_id}`));
  expect(await run('verify', 'orders')).toMatchObject({
    exitCode: 1,
    stdout: expect.stringContaining(documents[0].order_id),
  });
  expect((await run('verify', 'orders', '--repair')).exitCode).toBe(0);
  expect((await run('verify', 'orders')).exitCode).toBe(0);
});

test('a key is shown once and revoked by its id', async () => {
  const made = (await run('keys', 'create', '--name', 'shop', '--scopes', 'orders:read', '--json')).last();
  expect(made).toMatchObject({ name: 'shop', scopes: ['orders:read'], api_key: expect.stringMatching(/^mk_/) });
  const listed = await run('keys', 'list');
  expect(listed.stdout).toContain(made.key_id);
  expect(listed.stdout).not.toContain(made.api_key.slice(-43));
  expect((await run('keys', 'revoke', made.key_id, '--json')).last()).toMatchObject({ revoked_at: expect.any(String) });
  expect((await run('keys', 'revoke', '0000000000000000')).exitCode).toBe(1);
});

test('the state of the embedded database names who uses it, and it is not stopped under them', async () => {
  const { stdout } = await run('db', 'status', '--json');
  expect(JSON.parse(stdout)).toMatchObject({
    state: 'running',
    pending_migrations: [],
    clients: [{ purpose: 'import test' }],
  });
  expect((await run('db', 'url')).stdout).toBe(`${server.url}\n`);
  expect(await run('db', 'stop')).toMatchObject({ exitCode: 1, stderr: expect.stringContaining('import test') });
});
