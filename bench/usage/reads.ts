import { type Day, dayOf, formatDay } from '../../server/src/core/days.ts';
import { systemClock } from '../../server/src/core/time.ts';
import type { Database } from '../../server/src/storage/database.ts';
import { ensureDailyMonths } from '../../server/src/storage/day-partitions.ts';
import { openDatabase } from '../harness/database.ts';
import { paced, percentile } from '../harness/paced.ts';
import { startServer } from '../harness/processes.ts';
import { streamed } from '../harness/stream.ts';
import { alone, type Figures } from '../report.ts';
import { untilRolledUp } from './database.ts';
import type { UsageScale } from './scale.ts';

const overLimit = 100;
/** Subscriptions with usage on every day of a year. */
const yearly = 200;
const batchRows = 500_000;
const days = 7;

const nameOf = (n: number): string => `SUB${String(n).padStart(7, '0')}`;

/** Reads over HTTP on few raw rows, and on many over the same sums. */
export async function readFigures(
  place: { readonly dataDir: string; readonly url: string },
  scale: UsageScale,
  log: (line: string) => void,
): Promise<Figures> {
  const db = openDatabase(place.url);
  await using server = await startServer(place.dataDir);
  try {
    const { subscriptions, grownRows } = scale;
    await insertRaw(db, { rows: subscriptions * 2, subscriptions, round: 0 });
    await insertYear(db);
    await untilRolledUp(place.url);
    await settle(db);
    const few = await measure(server.url, scale);
    log(`  on ${(subscriptions * 2).toLocaleString('en')} raw rows: ${tell(few)}`);
    const grow = grownRows - subscriptions * 2;
    await insertRaw(db, { rows: grow, subscriptions, round: 1 });
    await untilRolledUp(place.url);
    await settle(db);
    const many = await measure(server.url, scale);
    log(`  on ${grownRows.toLocaleString('en')} raw rows: ${tell(many)}`);
    return figuresOf(few, many, scale);
  } finally {
    await db.close();
  }
}

interface Reads {
  readonly overLimitMs: number;
  readonly oneMs: number;
  readonly monthRowsPerSecond: number;
}

const tell = ({ overLimitMs, oneMs, monthRowsPerSecond }: Reads): string =>
  `over limit ${overLimitMs.toFixed(1)} ms, one ${oneMs.toFixed(1)} ms, month ${monthRowsPerSecond.toFixed(0)} rows/s`;

function figuresOf(few: Reads, many: Reads, { subscriptions, grownRows }: UsageScale): Figures {
  const count = subscriptions.toLocaleString('en');
  const growth = {
    'over limit': many.overLimitMs / few.overLimitMs,
    one: many.oneMs / few.oneMs,
    month: few.monthRowsPerSecond / many.monthRowsPerSecond,
  };
  const worst = Object.entries(growth).map(([name, times]) => `${name} ${times.toFixed(2)}`);
  return {
    over_limit: alone(few.overLimitMs, { unit: `ms p50, ${overLimit} of ${count} subscriptions`, goal: '<= 5' }),
    metrics_one: alone(few.oneMs, { unit: 'ms p50, one subscription, a year', goal: '<= 2' }),
    metrics_month: alone(few.monthRowsPerSecond, {
      unit: `rows/s streamed, ${count} subscriptions, a month`,
      goal: '>= 200,000',
    }),
    growth: alone(Math.max(...Object.values(growth)), {
      unit: `times as long on ${grownRows.toLocaleString('en')} raw rows as on ${(subscriptions * 2).toLocaleString('en')} (${worst.join(', ')})`,
      goal: '<= 1.3 (full)',
    }),
  };
}

/**
 * Raw rows with their ledger rows, as an ingest leaves them; the server rolls them up. In round 0 each subscription gets a record of
 * either type, and the first hundred reach the limit; later rounds add records that cost nothing to the same sums.
 */
async function insertRaw(
  db: Database,
  { rows, subscriptions, round }: { readonly rows: number; readonly subscriptions: number; readonly round: number },
): Promise<void> {
  for (let first = 0; first < rows; first += batchRows) {
    const count = Math.min(batchRows, rows - first);
    const batchId = (BigInt(round + 1) << 40n) + BigInt(first);
    await db.transaction(async (tx) => {
      await tx.run({
        text: `insert into usage_batches (batch_id, kind, actor, part, rows, first_day, last_day, created_at)
               values ($1, 'records', 'bench', 1, $2, current_date - ${days + 1}, current_date, now())`,
        values: [batchId, count],
      });
      await tx.run({
        text: `insert into usage_records
                 (batch_id, used, used_at, day, bucket, usage_type, subscription_id, record_id, price)
               select $1, 1000, d.day::timestamp at time zone 'UTC', d.day, bucket_of(s.id), s.type, s.id, '${round}-' || n, s.price
                 from (select n, 'SUB' || lpad((n / 2 % $4)::text, 7, '0') as id,
                              case when n % 2 = 0 then 'data' else 'voice' end as type,
                              (now() at time zone 'UTC')::date - 1 - (n / 2 % $4 % ${days})::integer as day,
                              case when ${round} > 0 then 0 when n / 2 < ${overLimit} and n % 2 = 0 then 500 else 1.25 end as price
                         from generate_series($2::bigint, $3::bigint) n) s
                      cross join lateral (select s.day) d (day)`,
        values: [batchId, first, first + count - 1, subscriptions],
      });
    });
  }
}

/** A year behind the raw days for some subscriptions, as history is there whose raw rows were dropped. */
async function insertYear(db: Database): Promise<void> {
  const today = dayOf(systemClock.now());
  const months = Array.from({ length: 13 }, (_, i) => (today - 30 * i) as Day);
  await ensureDailyMonths(db, [...months, (today - 365) as Day]);
  await db.transaction(async (tx) => {
    await tx.run({
      text: `insert into usage_batches (batch_id, kind, actor, part, rows, first_day, last_day, created_at)
             values (1, 'adjustments', 'bench', 1, $1, $2::date, current_date, now())`,
      values: [yearly * 340, formatDay((today - 365) as Day)],
    });
    await tx.run({
      text: `insert into usage_adjustments (batch_id, day, bucket, side, revision, records_delta, usage_type, subscription_id, source,
               reference, used_delta, price_delta, actor, recorded_at)
             select 1, current_date - 20 - d, bucket_of(id), 0, 1, 1, 'data', id, 'adjustment', 'year-' || d, 1000, 0.01, 'bench', now()
               from (select 'SUB' || lpad(n::text, 7, '0') as id from generate_series(${overLimit}, ${overLimit + yearly - 1}) n) s,
                    generate_series(1, 340) d`,
      values: [],
    });
  });
}

/** What autovacuum does within a minute. */
async function settle(db: Database): Promise<void> {
  for (const table of ['usage_records', 'usage_daily', 'usage_totals'])
    await db.query({ text: `vacuum analyze ${table}`, values: [] });
}

async function measure(url: string, { readSeconds, subscriptions }: UsageScale): Promise<Reads> {
  const today = dayOf(systemClock.now());
  const from = (daysAgo: number): string => formatDay((today - daysAgo) as Day);
  const limit = '/api/v1/usage/over-limit?price_limit=400&limit=200';
  const one = (n: number): string =>
    `/api/v1/usage/metrics?from=${from(364)}&to=${from(0)}&subscription_id=${nameOf(overLimit + (n % yearly))}`;
  const timed = async (path: (n: number) => string): Promise<number> => {
    const paceOf = (seconds: number) => paced({ url, request: (n) => ({ path: path(n) }), perSecond: 50, seconds });
    await paceOf(1);
    return percentile(await paceOf(readSeconds), 0.5);
  };
  const overLimitMs = await timed(() => limit);
  const oneMs = await timed(one);
  const month = `/api/v1/usage/metrics?from=${from(29)}&to=${from(0)}`;
  let best = 0;
  for (let i = 0; i < 3; i++) {
    const { rows, seconds } = await streamed(url + month);
    if (rows < subscriptions * 2) throw new Error(`${month}: ${rows} rows instead of ${subscriptions * 2}`);
    best = Math.max(best, rows / seconds);
  }
  return { overLimitMs, oneMs, monthRowsPerSecond: best };
}
