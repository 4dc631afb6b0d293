import { setTimeout as delay } from 'node:timers/promises';
import { gzipSync } from 'node:zlib';
import type { Database } from '../storage/database.ts';
import { dynamic, sql } from '../storage/sql.ts';

const dayMs = 86_400_000;
const subscriptions = 300;
/** Those that the records of the traffic are of. */
export const trafficSubscriptions: readonly string[] = Array.from({ length: subscriptions }, (_, n) => `S${n}`);
const daysBack = 5;
const singlesBetweenBulks = 40;

/** One record of the traffic: all of it follows from its number, so that the oracle need not remember what was sent. */
export interface TrafficRecord {
  readonly record_id: string;
  readonly subscription_id: string;
  readonly usage_type: string;
  readonly used_at: string;
  readonly used: number;
  readonly price: string;
}

const priceMicros = (n: number): number => (n * 7_919) % 3_000_000;

/** @param firstMs midnight at the beginning of the first day */
function trafficRecord(n: number, firstMs: number): TrafficRecord {
  const micros = String(priceMicros(n)).padStart(7, '0');
  // A second before and after midnight, and in between.
  const second = [0, 86_399, 43_200][n % 3] ?? 0;
  return {
    record_id: `r${n}`,
    subscription_id: `S${n % subscriptions}`,
    usage_type: n % 5 === 0 ? 'voice' : 'data',
    used_at: `${new Date(firstMs + (n % daysBack) * dayMs + second * 1_000).toISOString().slice(0, 19)}.999999Z`,
    used: n % 1_000,
    price: `${micros.slice(0, -6)}.${micros.slice(-6)}`,
  };
}

export interface UsageTrafficCounts {
  singles: number;
  arrays: number;
  bulks: number;
  /** Requests that had to be sent again: the connection broke, 503, or no summary came. */
  again: number;
  /** Parts and requests that were told as replayed. */
  replayed: number;
  /** As the answers say it. */
  accepted: number;
  duplicates: number;
}

export interface UsageTraffic {
  readonly counts: UsageTrafficCounts;
  /** Requests acknowledged. */
  count(): number;
  /** Lets every sender finish: everything that was sent is acknowledged then. */
  stop(): Promise<void>;
  /** Records are those with the numbers 0 … records - 1. */
  records(): number;
  readonly firstMs: number;
}

export interface UsageTrafficOptions {
  readonly url: () => string;
  /** For a server that asks for one. */
  readonly apiKey?: string;
  /** Lines of a bulk upload; parts have 20,000. */
  readonly bulkLines: number;
}

interface Sums {
  readonly accepted: number;
  readonly duplicates: number;
  readonly replayed: number;
}

interface Traffic extends UsageTrafficOptions {
  readonly counts: UsageTrafficCounts;
  readonly firstMs: number;
  next: number;
  running: boolean;
}

/** Senders of single records, arrays and bulk uploads, each under a key and sent again until it is acknowledged. */
export function startUsageTraffic(options: UsageTrafficOptions): UsageTraffic {
  const traffic: Traffic = {
    ...options,
    counts: { singles: 0, arrays: 0, bulks: 0, again: 0, replayed: 0, accepted: 0, duplicates: 0 },
    firstMs: Math.floor(Date.now() / dayMs) * dayMs - (daysBack + 1) * dayMs,
    next: 0,
    running: true,
  };
  const { counts } = traffic;
  const senders = [
    ...Array.from({ length: 4 }, (_, i) => sendSingles(traffic, `single-${i}`)),
    ...Array.from({ length: 2 }, (_, i) => sendArrays(traffic, `array-${i}`)),
    sendBulks(traffic, { name: 'ndjson', format: 'ndjson', isZipped: false }),
    sendBulks(traffic, { name: 'ndjson-gz', format: 'ndjson', isZipped: true }),
    sendBulks(traffic, { name: 'csv', format: 'csv', isZipped: false }),
  ];
  const all = Promise.all(senders);
  all.catch(() => {});
  return {
    counts,
    count: () => counts.singles + counts.arrays + counts.bulks,
    async stop() {
      traffic.running = false;
      await all;
    },
    records: () => traffic.next,
    firstMs: traffic.firstMs,
  };
}

/** Numbers for a request. Some of them another request has as well: who comes first stores them. */
function takeRecords(traffic: Traffic, wanted: number): TrafficRecord[] {
  const from = Math.max(0, traffic.next - Math.floor(Math.random() * 4));
  const end = traffic.next + wanted;
  traffic.next = end;
  return Array.from({ length: end - from }, (_, i) => trafficRecord(from + i, traffic.firstMs));
}

async function sendSingles(traffic: Traffic, name: string): Promise<void> {
  for (let n = 0; traffic.running; n++) {
    for (const [i, record] of takeRecords(traffic, 1).entries())
      await postRecords(traffic, `${name}-${n}-${i}`, record);
    traffic.counts.singles++;
  }
}

async function sendArrays(traffic: Traffic, name: string): Promise<void> {
  for (let n = 0; traffic.running; n++) {
    await postRecords(traffic, `${name}-${n}`, takeRecords(traffic, 1 + Math.floor(Math.random() * 200)));
    traffic.counts.arrays++;
  }
}

async function postRecords(traffic: Traffic, key: string, body: object): Promise<void> {
  const path = '/api/v1/usage/records';
  const headers = { 'content-type': 'application/json', 'idempotency-key': key };
  await untilAcknowledged(traffic, { path, headers, body: Buffer.from(JSON.stringify(body)) }, (text, replayed) => {
    const { accepted, duplicates, rejected_rows: rejected } = JSON.parse(text) as Record<string, number>;
    if (accepted === undefined || duplicates === undefined || rejected !== 0) throw new Error(`${key}: ${text}`);
    return { accepted, duplicates, replayed: replayed ? 1 : 0 };
  });
}

interface BulkSender {
  readonly name: string;
  readonly format: 'ndjson' | 'csv';
  readonly isZipped: boolean;
}

async function sendBulks(traffic: Traffic, { name, format, isZipped }: BulkSender): Promise<void> {
  for (let n = 0; traffic.running; n++) {
    const records = takeRecords(traffic, traffic.bulkLines);
    const bytes = Buffer.from(
      format === 'csv' ? csvOf(records) : records.map((r) => `${JSON.stringify(r)}\n`).join(''),
    );
    const headers = {
      'content-type': format === 'csv' ? 'text/csv' : 'application/x-ndjson',
      'idempotency-key': `${name}-${n}`,
      ...(isZipped ? { 'content-encoding': 'gzip' } : {}),
    };
    const body = isZipped ? gzipSync(bytes, { level: 1 }) : bytes;
    await untilAcknowledged(traffic, { path: '/api/v1/usage/records/bulk', headers, body }, summaryOf);
    traffic.counts.bulks++;
    // So that it is not all that this machine does.
    const goal = traffic.counts.singles + singlesBetweenBulks;
    while (traffic.running && traffic.counts.singles < goal) await delay(5);
  }
}

function csvOf(records: readonly TrafficRecord[]): string {
  const lines = records.map((r) =>
    [r.price, r.record_id, r.used, r.usage_type, r.used_at, r.subscription_id].join(','),
  );
  return ['price,record_id,used,usage_type,used_at,subscription_id', ...lines, ''].join('\n');
}

/** The sums of an upload; null when it has to be sent again. */
function summaryOf(text: string): Sums | null {
  const lines = text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>);
  const { summary, error } = (lines.at(-1) ?? {}) as {
    summary?: Record<string, number>;
    error?: { status: number };
  };
  if (summary !== undefined) {
    const { accepted = 0, duplicates = 0, rejected_rows: rejected } = summary;
    if (rejected !== 0) throw new Error(`an upload was answered with ${text.slice(0, 2_000)}`);
    return { accepted, duplicates, replayed: lines.filter(({ replayed }) => replayed === true).length };
  }
  if (error !== undefined && error.status !== 503) throw new Error(`an upload ended with ${JSON.stringify(error)}`);
  return null;
}

interface Sending {
  readonly path: string;
  readonly headers: Record<string, string>;
  readonly body: Buffer;
}

/** A broken connection, 503 and an answer without its end mean: the same again, under the same key. */
async function untilAcknowledged(
  { url, apiKey, counts }: Traffic,
  { path, body, ...sending }: Sending,
  read: (text: string, replayed: boolean) => Sums | null,
): Promise<void> {
  const headers = { ...sending.headers, ...(apiKey === undefined ? {} : { authorization: `Bearer ${apiKey}` }) };
  for (;;) {
    try {
      const answer = await fetch(`${url()}${path}`, { method: 'POST', headers, body });
      const text = await answer.text();
      if (answer.ok) {
        const sums = read(text, answer.headers.get('idempotent-replayed') === 'true');
        if (sums !== null) {
          counts.accepted += sums.accepted;
          counts.duplicates += sums.duplicates;
          counts.replayed += sums.replayed;
          return;
        }
      } else if (answer.status !== 503) throw new Error(`${path} was answered with ${answer.status}: ${text}`);
    } catch (error) {
      // SyntaxError: the answer was cut in the middle of a line.
      if (!(error instanceof TypeError || error instanceof SyntaxError)) throw error;
    }
    counts.again++;
    await delay(20);
  }
}

interface StoredSum {
  readonly key: string;
  readonly records: string;
  readonly used: string;
  readonly price: string;
}

export interface UsageComparison {
  readonly sent: number;
  readonly lost: number;
  readonly doubled: number;
  readonly wrongRawSums: number;
  readonly wrongDays: number;
  readonly wrongTotals: number;
}

/** Compares what was sent and acknowledged with the raw rows, the daily sums and the totals. Everything is rolled up. */
export async function compareUsage(db: Database, { records, firstMs }: UsageTraffic): Promise<UsageComparison> {
  const sent = records();
  const days = new Map<string, [bigint, bigint, bigint]>();
  const totals = new Map<string, [bigint, bigint, bigint]>();
  for (let n = 0; n < sent; n++) {
    const { subscription_id, usage_type, used_at, used } = trafficRecord(n, firstMs);
    const key = `${subscription_id} ${usage_type}`;
    const amount: [bigint, bigint, bigint] = [1n, BigInt(used), BigInt(priceMicros(n))];
    add(totals, key, amount);
    add(days, `${key} ${used_at.slice(0, 10)}`, amount);
  }
  const [raw] = await db.query(
    dynamic<{ stored: bigint; known: bigint }>(sql`select count(*) as stored,
      count(distinct record_id) filter (where substr(record_id, 2)::bigint < ${sent}) as known from usage_records`),
  );
  const stored = Number(raw?.stored ?? 0n);
  const known = Number(raw?.known ?? 0n);
  const columns = sql`records::text as records, total_used::text as used, (total_price * 1000000)::bigint::text as price`;
  const day = sql`to_char(day, 'YYYY-MM-DD')`;
  const rawSums = await db.query(
    dynamic<StoredSum>(sql`select subscription_id || ' ' || usage_type || ' ' || ${day} as key, count(*)::text as records,
      sum(used)::text as used, (sum(price) * 1000000)::bigint::text as price from usage_records group by 1`),
  );
  const daily = await db.query(
    dynamic<StoredSum>(
      sql`select subscription_id || ' ' || usage_type || ' ' || ${day} as key, ${columns} from usage_daily`,
    ),
  );
  const total = await db.query(
    dynamic<StoredSum>(sql`select subscription_id || ' ' || usage_type as key, ${columns} from usage_totals`),
  );
  return {
    sent,
    lost: sent - known,
    doubled: stored - known,
    wrongRawSums: differences(days, rawSums),
    wrongDays: differences(days, daily),
    wrongTotals: differences(totals, total),
  };
}

function add(
  sums: Map<string, [bigint, bigint, bigint]>,
  key: string,
  amount: readonly [bigint, bigint, bigint],
): void {
  const sum = sums.get(key);
  if (sum === undefined) sums.set(key, [...amount]);
  else for (const i of [0, 1, 2] as const) sum[i] += amount[i];
}

/** Sums that are wrong, missing or too many. */
function differences(expected: ReadonlyMap<string, readonly bigint[]>, stored: readonly StoredSum[]): number {
  const left = new Set(expected.keys());
  let wrong = 0;
  for (const { key, records, used, price } of stored) {
    if (!left.delete(key) || expected.get(key)?.join() !== [records, used, price].join()) wrong++;
  }
  return wrong + left.size;
}
