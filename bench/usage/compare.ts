import type pg from 'pg';
import { type Day, parseDay } from '../../server/src/core/days.ts';
import { silentLogger } from '../../server/src/core/ports.ts';
import { systemClock } from '../../server/src/core/time.ts';
import { createDirectWrites } from '../../server/src/domains/usage/usage-direct-writes-service.ts';
import { openUsage, type Usage } from '../../server/src/domains/usage/usage-service.ts';
import { openDatabase } from '../harness/database.ts';
import { alone, type Figures, median } from '../report.ts';
import type { Scale } from '../scale.ts';
import {
  byDelete,
  byInsert,
  bySignals,
  type ClassicAnswer,
  classicAnswers,
  day,
  secondsOf,
  someRows,
  withAnswer,
  writeInBatches,
} from './classic.ts';
import { withClient } from './database.ts';
import { usageScales } from './scale.ts';
import { withFolder } from './usage-bench.ts';

type Row = ReturnType<typeof someRows>[number];

/** How an answer writes and deletes. */
interface Way {
  readonly create: (rows: readonly Row[]) => Promise<unknown>;
  readonly remove: (rows: readonly Row[]) => Promise<unknown>;
  /** Brings reads up to date: a refresh, a rollup. Left out = they are. */
  readonly show?: () => Promise<unknown>;
  /** Where its sums are. */
  readonly sums: string;
}

/** The classic answers and the ledger beside each other, all in the database alone: one session, batches of 5,000, hot keys. */
export async function compareAnswers(scaleName: Scale, log: (line: string) => void): Promise<Figures> {
  const scale = usageScales[scaleName];
  return withFolder(async ({ url }) => {
    // Makes the partitions and the horizon.
    const db = openDatabase(url);
    const usage = await openUsage({
      db,
      clock: systemClock,
      logger: silentLogger,
      rawDays: 14,
      rollupPauseMs: 1_000,
      groupCommit: true,
    });
    const figures: Figures = {};
    try {
      for (const answer of classicAnswers) {
        log(answer);
        const rows = answer === 'signals' ? scale.signalRows : scale.compareRows;
        const measured = await withAnswer(url, answer, (client) => measure(client, wayOf(client, answer), rows));
        Object.assign(figures, named(answer, measured));
      }
      log('ledger');
      const rows = scale.compareRows;
      Object.assign(
        figures,
        named('ledger', await withClient(url, (client) => measure(client, ledgerWay(usage), rows))),
      );
      log('ledger, direct writes');
      const directWrites = createDirectWrites({ db, clock: systemClock, isCitus: false });
      await directWrites.enable('bench');
      const direct = await withClient(url, (client) => measure(client, directWay(client, usage), rows));
      Object.assign(figures, named('direct_writes', direct));
    } finally {
      await usage.drain();
      await db.close();
    }
    return figures;
  });
}

const wayOf = (client: pg.Client, answer: ClassicAnswer): Way => {
  if (answer === 'signals')
    return {
      create: (rows) => bySignals(client, rows, 1),
      remove: (rows) => bySignals(client, rows, -1),
      sums: 'daily',
    };
  return {
    create: (rows) => byInsert(client, rows),
    remove: (rows) => byDelete(client, rows),
    ...(answer === 'materialized-view' ? { show: () => client.query('refresh materialized view daily') } : {}),
    sums: 'daily',
  };
};

/** Rows written past the API, counted by way of its triggers. */
const directWay = (client: pg.Client, usage: Usage): Way => ({
  create: (rows) => byInsert(client, rows, 'usage_records'),
  remove: (rows) => byDelete(client, rows, 'usage_records'),
  show: () => usage.rollup.once(),
  sums: 'usage_daily',
});

/** What the API does, without HTTP: uploads; deletes one record a correction, 16 at a time. */
const ledgerWay = (usage: Usage): Way => ({
  async create(rows) {
    const lines = rows.map(
      ({ subscription, record, type, used, price }) =>
        `${subscription},${record},${type},${day}T10:00:00Z,${used},${(price / 10_000).toFixed(4)}\n`,
    );
    const header = 'subscription_id,record_id,usage_type,used_at,used,price\n';
    const options = { format: 'csv', actor: 'bench', producerKey: null } as const;
    for await (const part of usage.importBytes(chunks(header + lines.join('')), options))
      if (part.accepted !== part.lines && part.accepted !== part.lines - 1) throw new Error('not all were accepted');
  },
  remove: (rows) =>
    inParallel(rows, async ({ subscription, record }) => {
      const identity = { subscriptionId: subscription, recordId: record, day: parseDay(day) ?? (0 as Day) };
      await usage.correct({ identity, revision: 1, change: { deleted: true }, reason: null, actor: 'bench' });
    }),
  show: () => usage.rollup.once(),
  sums: 'usage_daily',
});

async function* chunks(text: string): AsyncGenerator<Buffer> {
  yield Buffer.from(text);
}

const atOnce = 16;

async function inParallel<T>(items: readonly T[], work: (item: T) => Promise<unknown>): Promise<void> {
  const left = [...items];
  const worker = async (): Promise<void> => {
    for (let item = left.pop(); item !== undefined; item = left.pop()) await work(item);
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
}

interface Measured {
  readonly ingest: number;
  readonly readOneMs: number;
  readonly readAllMs: number;
  readonly createMs: readonly [number, number];
  readonly removeMs: readonly [number, number];
}

const reads = 9;

async function measure(client: pg.Client, way: Way, rows: number): Promise<Measured> {
  const show = way.show ?? (async () => {});
  const written = await writeInBatches(rows, async (batch) => void (await way.create(batch)));
  const seconds = written + (await secondsOf(show));
  await client.query(`analyze ${way.sums === 'daily' ? 'records' : 'usage_records'}`);
  const timed = async (text: string): Promise<number> => {
    const times: number[] = [];
    for (let i = 0; i < reads; i++) times.push((await secondsOf(() => client.query(text))) * 1_000);
    return median(times);
  };
  const one = `select * from ${way.sums} where subscription_id = 'SUB0000007' and day = '${day}'`;
  const all = `select subscription_id, usage_type, sum(total_used), sum(total_price) from ${way.sums}
                where day between '${day}' and '${day}' group by subscription_id, usage_type`;
  const [hundred, thousand] = [someRows(100), someRows(1_000)];
  const ms = async (work: () => Promise<unknown>): Promise<number> => (await secondsOf(work)) * 1_000;
  const readOneMs = await timed(one);
  const readAllMs = await timed(all);
  const shown = (work: (rows: readonly Row[]) => Promise<unknown>, some: readonly Row[]) =>
    ms(async () => {
      await work(some);
      await show();
    });
  const createMs = [await shown(way.create, hundred), await shown(way.create, thousand)] as const;
  const removeMs = [await shown(way.remove, hundred), await shown(way.remove, thousand)] as const;
  return { ingest: rows / seconds, readOneMs, readAllMs, createMs, removeMs };
}

function named(answer: string, { ingest, readOneMs, readAllMs, createMs, removeMs }: Measured): Figures {
  const name = answer.replaceAll('-', '_');
  return {
    [`${name}_ingest`]: alone(ingest, { unit: 'records/s until reads show them' }),
    [`${name}_read_one`]: alone(readOneMs, { unit: 'ms, one subscription' }),
    [`${name}_read_all`]: alone(readAllMs, { unit: 'ms, 2,000 subscriptions' }),
    [`${name}_create_100`]: alone(createMs[0], { unit: 'ms' }),
    [`${name}_create_1000`]: alone(createMs[1], { unit: 'ms' }),
    [`${name}_delete_100`]: alone(removeMs[0], { unit: 'ms' }),
    [`${name}_delete_1000`]: alone(removeMs[1], { unit: 'ms' }),
  };
}
