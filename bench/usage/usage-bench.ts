import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { acquireEmbedded } from '../../server/src/storage/embedded/embedded-postgres.ts';
import { migrate } from '../../server/src/storage/migrator.ts';
import { against, type Figures } from '../report.ts';
import type { Scale } from '../scale.ts';
import { byInsert, bySignals, secondsOf, someRows, withAnswer, writeInBatches } from './classic.ts';
import { makeDatabase, walBytes } from './database.ts';
import { type IngestResult, ingestFigures, verifyUsage } from './ingest.ts';
import { readFigures } from './reads.ts';
import { type UsageScale, usageScales } from './scale.ts';

type Log = (line: string) => void;

/** Everything on embedded PostgreSQL with its standard settings (fsync on), in folders that are removed afterwards. */
export async function usageBench(scaleName: Scale, log: Log): Promise<Figures> {
  const scale = usageScales[scaleName];
  const ingested = await withFolder(async ({ dataDir, url }) => {
    const copyUrl = await makeDatabase(url, 'bench_copy');
    log('ingest over HTTP');
    const ingest = await ingestFigures({ dataDir, url, copyUrl, scale, log });
    log('the sums against the raw rows');
    await verifyUsage(dataDir, url);
    log('signals and row triggers');
    return { ...ingest.figures, ...(await classicFigures(copyUrl, scale, ingest)) };
  });
  log('reads');
  const reads = await withFolder(async (place) => {
    const figures = await readFigures(place, scale, log);
    await verifyUsage(place.dataDir, place.url);
    return figures;
  });
  return { ...ingested, ...reads };
}

export interface Folder {
  readonly dataDir: string;
  readonly url: string;
}

export async function withFolder<T>(work: (folder: Folder) => Promise<T>): Promise<T> {
  const dir = await mkdtemp(join(tmpdir(), 'milliard-bench-'));
  const dataDir = join(dir, 'data');
  const embedded = await acquireEmbedded({ dataDir, purpose: 'bench' });
  try {
    await migrate({ url: embedded.url });
    return await work({ dataDir, url: embedded.url });
  } finally {
    await embedded.release();
    await rm(dir, { recursive: true, force: true });
  }
}

/** The two answers that the goals name, with the same hot keys; fewer rows, for they are slow. */
async function classicFigures(
  url: string,
  scale: UsageScale,
  { hotRate, walPerRecord }: Pick<IngestResult, 'hotRate' | 'walPerRecord'>,
): Promise<Figures> {
  const signals = await withAnswer(url, 'signals', async (client) => {
    const rows = someRows(scale.signalRows);
    return rows.length / (await secondsOf(() => bySignals(client, rows, 1)));
  });
  const triggers = await withAnswer(url, 'row-triggers', async (client) => {
    // A first batch makes the sums; it is not counted.
    await byInsert(client, someRows(10_000));
    const before = await walBytes(url);
    const seconds = await writeInBatches(scale.triggerRows, (rows) => byInsert(client, rows));
    return { rate: scale.triggerRows / seconds, wal: ((await walBytes(url)) - before) / scale.triggerRows };
  });
  return {
    signals: against(hotRate, signals, {
      unit: 'records/s, ingest_hot (baseline: application-side signals)',
      goal: '>= 100 times',
    }),
    row_triggers: against(hotRate, triggers.rate, {
      unit: 'records/s, ingest_hot (baseline: row triggers, batches of 5,000 in the database)',
      goal: '>= 5 times',
    }),
    wal_per_record: against(walPerRecord, triggers.wal, {
      unit: 'bytes, hot keys with the rollup (baseline: row triggers)',
    }),
  };
}
