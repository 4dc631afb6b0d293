import { Readable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, expect, test } from 'vitest';
import { silentLogger } from '../../core/ports.ts';
import type { Instant } from '../../core/time.ts';
import { dynamic, sql } from '../../storage/sql.ts';
import { createTestClient, openTestDatabase } from '../../testing/open-database.ts';
import { openUsage, type Usage } from './usage-service.ts';

const full = process.env['MILLIARD_TEST_FAULTS'] === 'full';
const batches = full ? 1_000 : 30;
const connections = 8;
const rowsOfBatch = 60;
const applicationName = 'milliard opposite order';

const { db, url } = await openTestDatabase();
// It goes on, as batch ids want it.
const now = () => (Date.parse('2026-11-21T12:00:00.000Z') + Math.floor(performance.now())) as Instant;
const clients = Array.from({ length: connections }, () =>
  createTestClient(url, { applicationName, poolSize: 2, readClients: 1 }),
);
const openOn = (on: (typeof clients)[number], groupCommit: boolean): Promise<Usage> =>
  openUsage({ db: on, clock: { now }, logger: silentLogger, rawDays: 14, rollupPauseMs: 100, groupCommit });
const senders: Usage[] = [];
for (const [i, client] of clients.entries()) senders.push(await openOn(client, i % 4 < 2));
let closing: Promise<void> | null = null;
const close = (): Promise<void> => {
  closing ??= (async () => {
    for (const sender of senders) await sender.drain();
    for (const client of clients) await client.close();
  })();
  return closing;
};
afterAll(close);

// Many days, subscriptions and buckets, so that every order of locks is a different one.
const rowOf = (batch: number, i: number) => ({
  record_id: `r${batch}-${i}`,
  subscription_id: `S${i % 11}`,
  usage_type: i % 2 === 0 ? 'data' : 'voice',
  used_at: `2026-11-${String(10 + (i % 10))}T10:00:00Z`,
  used: 1,
  price: '0.01',
});

interface Sender {
  readonly usage: Usage;
  readonly number: number;
}

/** The records of a batch by one of the ways in. Everybody sends the same ones. @returns how many this sender was the first with */
async function send({ usage, number }: Sender, batch: number): Promise<number> {
  const rows = Array.from({ length: rowsOfBatch }, (_, i) => rowOf(batch, i));
  if (number % 2 === 1) rows.reverse();
  if (number < 4) {
    const outcome = await usage.ingest({
      documents: rows,
      actor: `sender ${number}`,
      producerKey: null,
      contentHash: null,
    });
    return outcome.accepted;
  }
  let accepted = 0;
  const bytes = Buffer.from(rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
  // The same producer key for everybody who sends these bytes.
  const options = { format: 'ndjson', actor: 'bulk', producerKey: `batch ${batch} ${number % 2}` } as const;
  for await (const part of usage.importBytes(Readable.from([bytes]), options)) {
    accepted += part.replayed ? 0 : part.accepted;
  }
  return accepted;
}

const connected = async (): Promise<bigint | undefined> => {
  const [row] = await db.query(
    dynamic<{ n: bigint }>(sql`select count(*) as n from pg_stat_activity where application_name = ${applicationName}`),
  );
  return row?.n;
};

const deadlocks = async (): Promise<bigint | undefined> => {
  const [row] = await db.query(
    dynamic<{ n: bigint }>(sql`select deadlocks as n from pg_stat_database where datname = current_database()`),
  );
  return row?.n;
};

test(
  `eight connections that send ${batches} batches of the same keys in opposite order meet no deadlock`,
  async () => {
    const before = await deadlocks();
    let isSending = true;
    // Its locks are met too.
    const rollingUp = (async () => {
      while (isSending) {
        await senders[0]?.rollup.once();
        await delay(20);
      }
    })();
    const accepted = senders.map(() => 0);
    const sendAll = async (): Promise<void> => {
      for (let batch = 0; batch < batches; batch++) {
        // All of them at the same moment, a different one first each time.
        const turn = senders.map((_, i) => (i + batch) % connections);
        await Promise.all(
          turn.map(async (number) => {
            const usage = senders[number];
            if (usage !== undefined)
              accepted[number] = (accepted[number] ?? 0) + (await send({ usage, number }, batch));
          }),
        );
      }
    };
    await sendAll().finally(async () => {
      isSending = false;
      await rollingUp;
    });
    await senders[1]?.rollup.once();
    expect(accepted.reduce((sum, n) => sum + n, 0)).toBe(batches * rowsOfBatch);
    const [stored] = await db.query(
      dynamic(sql`select (select count(*) from usage_records) as raw, (select sum(records) from usage_daily)::bigint as daily,
        (select sum(records) from usage_totals)::bigint as totals, (select sum(total_price) from usage_totals)::text as price`),
    );
    const rows = BigInt(batches * rowsOfBatch);
    const price = ((batches * rowsOfBatch) / 100).toFixed(2);
    expect(stored).toEqual({ raw: rows, daily: rows, totals: rows, price });
    // A connection tells its counts at its end at the latest.
    await close();
    await expect.poll(connected, { timeout: 10_000 }).toBe(0n);
    expect(await deadlocks()).toBe(before);
    console.log(
      `${connections} connections x ${batches} batches: ${rows} records stored once, accepted ${accepted}, no deadlock`,
    );
  },
  full ? 1_800_000 : 240_000,
);
