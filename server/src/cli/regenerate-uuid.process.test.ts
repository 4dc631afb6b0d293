import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { expect, test } from 'vitest';
import type { Database } from '../storage/database.ts';
import { acquireEmbedded } from '../storage/embedded/embedded-postgres.ts';
import { dynamic, sql } from '../storage/sql.ts';
import { withAdmin } from '../testing/admin.ts';
import { crashDatabase } from '../testing/data-folder.ts';
import { throughFaults } from '../testing/faults.ts';
import { foreignTables, judgeForeign, startForeignTraffic } from '../testing/foreign-traffic.ts';
import { type MilliardCommand, runMilliard, spawnMilliard } from '../testing/milliard-process.ts';
import { createTestClient } from '../testing/open-database.ts';

const full = process.env['MILLIARD_TEST_FAULTS'] === 'full';
const rows = full ? 200_000 : 20_000;
const kills = full ? 50 : 6;
const databaseStops = full ? 5 : 1;
/** Slow enough that the run outlives all the faults. */
const rowsPerSecond = full ? 2_500 : 3_000;

interface Progress {
  readonly batches: number;
  readonly doneRows: number;
  readonly counted: number;
  readonly replaced: number;
}

/** In one snapshot: what the run says it has done, and what the log of the table says; before the first claim all is 0. */
async function progressOf(db: Database): Promise<Progress> {
  const [found] = await db.query(
    dynamic<{ found: boolean }>(sql`select to_regclass('milliard_jobs.job_ranges') is not null as found`),
  );
  if (found?.found !== true) return { batches: 0, doneRows: 0, counted: 0, replaced: 0 };
  const [row] = await db.query(
    dynamic<Progress>(sql`
      select coalesce(sum(batches), 0)::int as batches, coalesce(sum(done_rows), 0)::int as "doneRows",
             coalesce(sum((counts ->> 'replaced')::int), 0)::int as counted,
             (select count(*)::int from token_log where by_whom like 'milliard jobs%') as replaced
        from milliard_jobs.job_ranges`),
  );
  if (row === undefined) throw new Error('no progress');
  return row;
}

test('a regeneration is killed again and again beside an application that writes, and PostgreSQL stopped under both: no old value is left, no row touched twice', async () => {
  const dataDir = await mkdtemp(join(tmpdir(), 'milliard-regenerate-'));
  const embedded = await acquireEmbedded({ dataDir, purpose: 'regeneration test' });
  await withAdmin(embedded.url, (admin) => admin.query('create database shop'));
  const url = embedded.url.replace(/(:\/\/[^/]*\/)[^?]*/, '$1shop');
  const db = createTestClient(url, { poolSize: 6, statementTimeoutMs: 0, applicationName: 'the application' });
  const command = ['jobs', 'start', 'regenerate-uuid', '--table', 'public.tickets', '--column', 'token', '--yes'];
  const regenerate = (rate: number) =>
    spawnMilliard({ args: [...command, '--database-url', url, '--rate', String(rate)] });
  const hits = Math.ceil(kills * (full ? 0.8 : 0.5));
  let child = null as MilliardCommand | null;
  try {
    await db.session((session) => session.script(foreignTables(rows)));
    const first = regenerate(rowsPerSecond);
    child = first;
    // What the application writes before the values are copied is visible at the start, and rightly replaced.
    while ((await progressOf(db)).batches === 0 && first.isRunning()) await delay(2);
    const traffic = startForeignTraffic(db, rows);
    const counts = await throughFaults({
      ...{ db, kills, databaseStops, hits, words: 'gen_random_uuid()' },
      begin: () => (first.isRunning() ? first : regenerate(rowsPerSecond)),
      batches: async () => (await progressOf(db)).batches,
      crashDatabase: () => crashDatabase(dataDir, embedded),
      async afterFault() {
        // What is stored and what the cursor says are one.
        const now = await progressOf(db);
        expect(now.counted).toBe(now.replaced);
      },
    });
    expect((await progressOf(db)).doneRows).toBeLessThan(rows * 0.99);

    // The same command goes on; now without the brake, the application still at work.
    const last = regenerate(1_000_000);
    child = last;
    expect({ code: await last.ended, output: last.output() }).toMatchObject({ code: 0 });
    expect(last.output()).toMatch(/proof: 0 of [\d,]+ values visible at .* are left/);
    await traffic.stop();

    const verdict = await judgeForeign(db);
    const { batches, doneRows, counted } = await progressOf(db);
    console.log(
      `regeneration of ${rows} rows: ${JSON.stringify({ ...counts, batches, done_rows: doneRows, replaced: counted, application: { committed: traffic.committed(), cut_off: traffic.cut() }, ...verdict })}`,
    );
    expect(verdict).toEqual(Object.fromEntries(Object.keys(verdict).map((name) => [name, 0])));
    expect(traffic.committed()).toBeGreaterThan(kills * 10);
    expect(counts.in_a_batch).toBeGreaterThanOrEqual(hits);
    const left = await db.query(
      dynamic<{ name: string }>(sql`select relname as name from pg_class
        where relnamespace = 'milliard_jobs'::regnamespace and relkind = 'r' and relname ~ '^(before|again)_'`),
    );
    expect(left).toEqual([]);
    const again = await runMilliard({ args: [...command, '--database-url', url, '--recheck'] });
    expect(again.code).toBe(1);
    expect(again.stderr).toContain('--recheck --anew');
  } finally {
    if (child?.isRunning() === true) process.kill(child.pid, 'SIGKILL');
    await db.close();
    await embedded.release();
    await rm(dataDir, { recursive: true, force: true });
  }
});
