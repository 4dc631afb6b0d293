import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Database } from '../../server/src/storage/database.ts';
import { acquireEmbedded } from '../../server/src/storage/embedded/embedded-postgres.ts';
import { migrate } from '../../server/src/storage/migrator.ts';
import { dynamic, sql } from '../../server/src/storage/sql.ts';
import { runCommand } from '../harness/command.ts';
import { openDatabase } from '../harness/database.ts';
import { against, alone, type Figures, median } from '../report.ts';
import type { Scale } from '../scale.ts';
import { measureJob, remainingTimeError } from './runs.ts';
import { type JobsScale, jobsScales } from './scale.ts';
import { makePlainTable, plainTable, updateInOneStatement } from './tables.ts';
import { verifyDuringRotation, verifyFigures } from './verify.ts';

type Log = (line: string) => void;

interface Bench {
  readonly db: Database;
  readonly dataDir: string;
  readonly scale: JobsScale;
}

/** An embedded PostgreSQL with its standard settings (fsync on), in a folder that is removed afterwards. */
export async function withBenchDatabase<T>(
  work: (db: Database, dataDir: string, url: string) => Promise<T>,
): Promise<T> {
  const dataDir = await mkdtemp(join(tmpdir(), 'milliard-bench-'));
  const embedded = await acquireEmbedded({ dataDir, purpose: 'bench' });
  try {
    await migrate({ url: embedded.url });
    const db = openDatabase(embedded.url);
    try {
      return await work(db, dataDir, embedded.url);
    } finally {
      await db.close();
    }
  } finally {
    await embedded.release();
    await rm(dataDir, { recursive: true, force: true });
  }
}

export function jobsBench(scaleName: Scale, log: Log): Promise<Figures> {
  const scale = jobsScales[scaleName];
  return withBenchDatabase(async (db, dataDir) => {
    const bench = { db, dataDir, scale };
    const step = async (name: string, work: () => Promise<Figures>): Promise<Figures> => {
      const startedMs = performance.now();
      const figures = await work();
      log(`${name}: ${((performance.now() - startedMs) / 1_000).toFixed(1)} s`);
      return figures;
    };
    const tenth = scale.memoryRows / 10;
    await generate(bench, tenth);
    const smallPeakMb = (await rotate(bench)).program.peakMb;
    await generate(bench, scale.rows - tenth);
    return {
      ...(await step('rotation, regeneration and their baselines', () => speedFigures(bench, log))),
      ...(await step('verification', () => verifyFigures(db, dataDir, scale))),
      ...(await step('verification during a rotation', () => verifyDuringRotation(db, dataDir, scale))),
      ...(await step('remaining time of a slow rotation', () => remainingTimeFigures(bench))),
      ...(await step('memory of a long rotation', () => memoryFigures(bench, smallPeakMb))),
    };
  });
}

async function generate({ dataDir }: Bench, count: number): Promise<void> {
  await runCommand(['tickets', 'generate', '--count', String(count), '--data-dir', dataDir, '--json']);
}

/** Rotates every ticket, after what earlier rotations left has been purged, so that each finds the same tables. */
async function rotate({ db, dataDir }: Bench, ...more: string[]) {
  await runCommand(['tickets', 'purge-tokens', '--data-dir', dataDir, '--json']);
  await db.session((session) => session.script('vacuum analyze tickets'));
  await db.session((session) => session.script('checkpoint'));
  return measureJob([
    ...['tickets', 'rotate', '--reason', 'bench', '--keep-days', '0', '--yes', '--data-dir', dataDir],
    ...more,
  ]);
}

/** By turns, each on fresh tables, so that a noisy minute of the machine hits all of them. */
async function speedFigures(bench: Bench, log: Log): Promise<Figures> {
  const { db, dataDir, scale } = bench;
  const rates: { rotate: number; regenerate: number; update: number; rowByRow: number }[] = [];
  for (let round = 0; round < scale.rounds; round++) {
    await makePlainTable(db, scale.rows);
    const update = scale.rows / (await updateInOneStatement(db));
    const rotation = await rotate(bench);
    await makePlainTable(db, scale.rows);
    const regeneration = await measureJob([
      ...['jobs', 'start', 'regenerate-uuid', '--table', plainTable, '--column', 'token', '--yes'],
      ...['--data-dir', dataDir],
    ]);
    const rowByRow = await updateRowByRow(db, scale.rowByRow);
    const rate = {
      rotate: scale.rows / rotation.seconds,
      regenerate: scale.rows / regeneration.seconds,
      update,
      rowByRow,
    };
    log(
      `  rows/s: one UPDATE ${rate.update.toFixed(0)}, rotation ${rate.rotate.toFixed(0)}, regeneration ${rate.regenerate.toFixed(0)}, row by row ${rate.rowByRow.toFixed(0)}`,
    );
    rates.push(rate);
  }
  const of = (name: keyof (typeof rates)[number]): number => median(rates.map((rate) => rate[name]));
  const unit = 'rows/s, from claim to proof';
  return {
    rotate: {
      ...against(of('rotate'), of('update'), { unit, goal: '>= 1.5 times one UPDATE' }),
      ratio: Number(median(rates.map((rate) => rate.rotate / rate.update)).toPrecision(3)),
    },
    regenerate_uuid: {
      ...against(of('regenerate'), of('update'), { unit, goal: '>= 0.6 of one UPDATE' }),
      ratio: Number(median(rates.map((rate) => rate.regenerate / rate.update)).toPrecision(3)),
    },
    row_by_row: against(of('regenerate'), of('rowByRow'), {
      unit: 'rows/s, regeneration against the loop of an ORM',
      goal: '>= 20 times the loop',
    }),
  };
}

/** The loop of an ORM: reads objects, saves each in a transaction of its own. @returns rows a second */
async function updateRowByRow(db: Database, rows: number): Promise<number> {
  const table = sql.raw(plainTable);
  const startedMs = performance.now();
  const tickets = await db.query(
    dynamic<{ id: string }>(sql`select id, holder, event, created_at, token from ${table} limit ${rows}`),
  );
  for (const { id } of tickets) {
    await db.query(dynamic(sql`update ${table} set token = ${randomUUID()}::uuid where id = ${id}::uuid`));
  }
  return (tickets.length * 1_000) / (performance.now() - startedMs);
}

async function remainingTimeFigures(bench: Bench): Promise<Figures> {
  const rate = Math.floor(bench.scale.rows / bench.scale.slowSeconds);
  const slow = await rotate(bench, '--rate', String(rate));
  return {
    eta_error: alone(remainingTimeError(slow), {
      unit: `of the total at its worst, of a rotation that took ${slow.seconds.toFixed(0)} s`,
      goal: '<= 0.3',
    }),
  };
}

async function memoryFigures(bench: Bench, smallPeakMb: number): Promise<Figures> {
  await generate(bench, bench.scale.memoryRows - bench.scale.rows);
  const { program } = await rotate(bench);
  const [few, many] = [bench.scale.memoryRows / 10, bench.scale.memoryRows].map((rows) => rows.toLocaleString('en'));
  return {
    rss_growth_mb: alone(program.peakMb - smallPeakMb, {
      unit: `MB more at its peak with ${many} tickets (${program.peakMb.toFixed(0)} MB) than with ${few}`,
      goal: '<= 32',
    }),
  };
}
