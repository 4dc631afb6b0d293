import { afterAll, afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { Instant } from '../../core/time.ts';
import { dynamic, sql } from '../../storage/sql.ts';
import { sqlClients, untilWaiting } from '../../testing/sql-clients.ts';
import { testDatabase } from '../../testing/test-database.ts';
import { openUsageWorld, upload } from '../../testing/usage-world.ts';
import type { Usage } from './usage-service.ts';

const { url } = await testDatabase();
// It stands still: whatever tells two batches apart is not the time.
const now = Date.parse('2026-11-21T12:00:00.000Z') as Instant;
const world = await openUsageWorld(url, now, 10);
const { usage, fragile, cutter, db } = world;
const { connect } = sqlClients(url);
const [writer, mover, watcher] = [await connect(), await connect(), await connect()];
afterAll(() => world.close());
beforeEach(() => world.reset());
afterEach(() => vi.restoreAllMocks());

const record = (id: string, day = '2026-11-20', more: object = {}) => ({
  record_id: id,
  subscription_id: 'S1',
  usage_type: 'data',
  used_at: `${day}T10:00:00Z`,
  used: 1,
  price: '0.01',
  ...more,
});

type Send = (via: Usage, rows: readonly object[], key: string | null) => Promise<{ accepted: number }>;

const single: Send = (via, documents, producerKey) =>
  via.ingest({ documents, actor: 'test', producerKey, contentHash: producerKey === null ? null : Buffer.from('x') });

const bulk: Send = (via, rows, producerKey) => {
  const bytes = Buffer.from(rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
  return upload(via, bytes, { format: 'ndjson', producerKey, partLines: 100 });
};

const ways: readonly (readonly [string, Send, string | null])[] = [
  ['single records', single, null],
  ['single records with a key', single, 'k'],
  ['an upload', bulk, null],
  ['an upload with a key', bulk, 'k'],
];

/** What the ledger counts, what is there, and what the sums say after a rollup. */
async function counts() {
  await usage.rollup.once();
  const [row] = await db.query(
    dynamic<{ ledger: bigint; raw: bigint; sums: bigint }>(sql`
      select (select coalesce(sum(rows), 0)::bigint from usage_batches) as ledger, (select count(*) from usage_records) as raw,
        (select coalesce(sum(records), 0)::bigint from usage_totals) as sums`),
  );
  return row;
}

/** Sends through a connection that is cut at COMMIT; before the transaction runs again, the horizon has moved to 2026-11-16. */
async function sendCut<T>(send: () => Promise<T>, when: 'before' | 'after'): Promise<T> {
  // Held up after it has read the horizon, until somebody waits to move this.
  await writer.query('begin; lock table usage_records in exclusive mode');
  cutter.cutNextCommit(when);
  const sent = send();
  sent.catch(() => {});
  await untilWaiting(watcher);
  const moved = mover.query(
    `begin; lock table usage_horizon in exclusive mode; update usage_horizon set raw_from = '2026-11-16'; commit`,
  );
  await untilWaiting(watcher, 2);
  await writer.query('rollback');
  await moved;
  return sent;
}

describe('a COMMIT whose answer is lost, while the horizon moves over some of its days', () => {
  const rows = [record('old', '2026-11-12'), record('new'), record('known'), record('bad', '2026-11-20', { used: -1 })];

  test.for(ways)('%s that were stored are answered as stored', async ([, send, key]) => {
    await single(usage, [record('known')], null);
    const answer = await sendCut(() => send(fragile, rows, key), 'after');
    expect(answer).toMatchObject({ accepted: 2, duplicates: 1, rejectedRows: 1, replayed: false });
    expect(await counts()).toEqual({ ledger: 3n, raw: 3n, sums: 3n });
    if (key === null) return;
    expect(await send(usage, rows, key)).toEqual({ ...answer, replayed: true });
  });

  test.for(ways)('%s that were not stored are judged by the new horizon', async ([, send, key]) => {
    const answer = await sendCut(() => send(fragile, rows, key), 'before');
    expect(answer).toMatchObject({ accepted: 2, duplicates: 0, rejectedRows: 2, replayed: false });
    expect(await counts()).toEqual({ ledger: 2n, raw: 2n, sums: 2n });
  });

  test('requests of one transaction each get the answer of their own', async () => {
    // The first one keeps both connections of the queue busy for the others to gather.
    const answers = await sendCut(
      () =>
        Promise.all([
          single(fragile, [record('a', '2026-11-12'), record('b')], null),
          single(fragile, [record('a', '2026-11-12'), record('c', '2026-11-13')], null),
          single(fragile, [record('d', '2026-11-12')], 'k'),
        ]),
      'after',
    );
    expect(answers).toMatchObject([
      { accepted: 2, duplicates: 0, rejectedRows: 0 },
      { accepted: 1, duplicates: 1, rejectedRows: 0 },
      { accepted: 1, duplicates: 0, rejectedRows: 0 },
    ]);
    expect(await counts()).toEqual({ ledger: 4n, raw: 4n, sums: 4n });
  });
});

describe('two servers that make the same number for their batches', () => {
  beforeEach(() => void vi.spyOn(Math, 'random').mockReturnValue(0.5));

  test.for(ways)('%s are stored and counted, each under a number of its own', async ([, send, key]) => {
    // New servers: the last numbers of those before are forgotten.
    const [one, two] = [await world.openServer(), await world.openServer()];
    const batches = async () => {
      const ledger = await db.query(
        dynamic<{ id: bigint; rows: number }>(sql`select batch_id as id, rows from usage_batches order by batch_id`),
      );
      const stored = await db.query(
        dynamic<{ id: bigint; raw: bigint }>(
          sql`select batch_id as id, count(*) as raw from usage_records group by batch_id`,
        ),
      );
      const raw = new Map(stored.map((batch) => [batch.id, Number(batch.raw)]));
      return ledger.map(({ id, rows }) => ({ rows, raw: raw.get(id) ?? 0 }));
    };
    expect(await send(one, [record('a')], key)).toMatchObject({ accepted: 1, duplicates: 0 });
    // What is added to a batch that is rolled up would never be counted.
    await usage.rollup.once();
    expect(await send(two, [record('b'), record('c')], key === null ? null : 'k2')).toMatchObject({
      accepted: 2,
      duplicates: 0,
    });
    expect(await batches()).toEqual([
      { rows: 1, raw: 1 },
      { rows: 2, raw: 2 },
    ]);
    expect(await counts()).toEqual({ ledger: 3n, raw: 3n, sums: 3n });
  });
});

test('many batches of four servers whose clocks stand still are all stored', async () => {
  // Few numbers to choose from, so that they meet.
  const random = Math.random;
  vi.spyOn(Math, 'random').mockImplementation(() => Math.floor(random() * 64) / 64);
  const servers = await Promise.all([1, 2, 3, 4].map(() => world.openServer()));
  const sent = servers.map(async (server, s) => {
    for (let i = 0; i < 60; i++)
      await (i % 2 === 0 ? single : bulk)(server, [record(`r${s}-${i}`)], i % 3 === 0 ? `k${s}-${i}` : null);
  });
  await Promise.all(sent);
  expect(await counts()).toEqual({ ledger: 240n, raw: 240n, sums: 240n });
});
