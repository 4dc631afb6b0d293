import { readFileSync } from 'node:fs';
import type pg from 'pg';
import { createRandom, type Random } from '../../server/src/core/pseudo-random.ts';
import { withClient } from './database.ts';
import { hotKeys } from './scale.ts';

/** The classic ways to keep sums of raw rows. */
export const classicAnswers = ['signals', 'row-triggers', 'statement-triggers', 'view', 'materialized-view'] as const;
export type ClassicAnswer = (typeof classicAnswers)[number];

const text = (name: string): string => readFileSync(new URL(`./classic/${name}.sql`, import.meta.url), 'utf8');

/** Runs `work` on a schema of its own with the tables and triggers of an answer, which is removed afterwards. */
export async function withAnswer<T>(
  url: string,
  answer: ClassicAnswer,
  work: (client: pg.Client) => Promise<T>,
): Promise<T> {
  const schema = `classic_${answer.replaceAll('-', '_')}`;
  return withClient(url, async (client) => {
    await client.query(`create schema ${schema}; set search_path = ${schema}, public`);
    await client.query(text('tables'));
    await client.query(text(answer));
    try {
      return await work(client);
    } finally {
      await client.query(`drop schema ${schema} cascade`);
    }
  });
}

interface Row {
  readonly subscription: string;
  readonly record: string;
  readonly type: 'data' | 'voice';
  readonly used: number;
  readonly price: number;
}

export const day = new Date(Date.now() - 86_400_000).toISOString().slice(0, 10);

let made = 0;

/** Records with hot keys, new ones each time. */
export function someRows(count: number, random: Random = createRandom(7, made)): Row[] {
  return Array.from({ length: count }, () => ({
    subscription: `SUB${String(Math.floor(random() * hotKeys.subscriptions)).padStart(7, '0')}`,
    record: `c${made++}`,
    type: random() < 0.7 ? 'data' : 'voice',
    used: Math.floor(random() * 100_000),
    price: Math.floor(random() * 10_000),
  }));
}

const decimal = (tenThousandths: number): string => (tenThousandths / 10_000).toFixed(4);

interface Sum {
  readonly records: string;
  readonly total_used: string;
  readonly total_price: string;
}

/** Writes, or deletes, one record after the other, each with its sum in a transaction, as an ORM with signals does. */
export async function bySignals(client: pg.Client, rows: readonly Row[], sign: 1 | -1): Promise<void> {
  for (const { subscription, record, type, used, price } of rows) {
    const key = `'${subscription}', '${type}', '${day}'`;
    await client.query('begin');
    await client.query(
      sign === 1
        ? `execute signal_insert('${subscription}', '${record}', '${type}', '${day}', ${used}, ${decimal(price)})`
        : `execute signal_delete('${subscription}', '${record}', '${type}', '${day}')`,
    );
    const [sum] = (await client.query<Sum>(`execute signal_read(${key})`)).rows;
    const records = Number(sum?.records ?? 0) + sign;
    const totalUsed = Number(sum?.total_used ?? 0) + sign * used;
    const totalPrice = Math.round(Number(sum?.total_price ?? 0) * 10_000) + sign * price;
    await client.query(
      `execute ${sum === undefined ? 'signal_create_sum' : 'signal_write_sum'}(${key}, ${records}, ${totalUsed}, ${decimal(totalPrice)})`,
    );
    await client.query('commit');
  }
}

/** One INSERT of all rows. `columns`: those of another table than that of the answers. */
export async function byInsert(client: pg.Client, rows: readonly Row[], into = 'records'): Promise<void> {
  const isDirect = into !== 'records';
  await client.query(
    `insert into ${into} (${isDirect ? '' : 'batch_id, '}used, used_at, day, bucket, usage_type, subscription_id, record_id, price)
     select ${isDirect ? '' : '0, '}used, '${day} 10:00Z', '${day}', bucket_of(subscription), type, subscription, record, price / 10000
       from unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::numeric[]) r (subscription, record, type, used, price)`,
    [
      rows.map(({ subscription }) => subscription),
      rows.map(({ record }) => record),
      rows.map(({ type }) => type),
      rows.map(({ used }) => used),
      rows.map(({ price }) => price),
    ],
  );
}

/** Deletes the rows in one statement. */
export async function byDelete(client: pg.Client, rows: readonly Row[], from = 'records'): Promise<void> {
  await client.query(
    `delete from ${from} r using unnest($1::text[], $2::text[]) d (subscription, record)
      where r.bucket = bucket_of(d.subscription) and r.subscription_id = d.subscription and r.record_id = d.record
        and r.day = '${day}'`,
    [rows.map(({ subscription }) => subscription), rows.map(({ record }) => record)],
  );
}

const batchRows = 5_000;

/** Writes new records in batches, each a statement and a transaction. @returns seconds */
export async function writeInBatches(count: number, write: (rows: readonly Row[]) => Promise<void>): Promise<number> {
  let seconds = 0;
  for (let left = count; left > 0; left -= batchRows) {
    const rows = someRows(Math.min(left, batchRows));
    seconds += await secondsOf(() => write(rows));
  }
  return seconds;
}

export async function secondsOf(work: () => Promise<unknown>): Promise<number> {
  const startedMs = performance.now();
  await work();
  return (performance.now() - startedMs) / 1_000;
}
