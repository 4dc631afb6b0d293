import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { TicketToken } from '../core/ids.ts';
import { systemClock } from '../core/time.ts';
import { createTickets, type Tickets } from '../domains/tickets/tickets-service.ts';
import { createDatabase, type Database } from '../storage/database.ts';
import { acquireEmbedded } from '../storage/embedded/embedded-postgres.ts';
import { dynamic, sql } from '../storage/sql.ts';
import { crashDatabase } from '../testing/data-folder.ts';
import { throughFaults } from '../testing/faults.ts';
import { type MilliardCommand, runMilliard, spawnMilliard } from '../testing/milliard-process.ts';

const full = process.env['MILLIARD_TEST_FAULTS'] === 'full';
const tickets = full ? 200_000 : 30_000;
const kills = full ? 50 : 6;
const databaseStops = full ? 5 : 1;
/** Slow enough that the rotation outlives all the faults. */
const rowsPerSecond = full ? 2_500 : 4_000;

interface Progress {
  readonly batches: number;
  readonly doneRows: number;
  readonly newTokens: number;
  readonly issued: number;
  readonly leftAlone: number;
}

/** In one snapshot: what the run says it has done, and what is stored. */
async function progressOf(db: Database): Promise<Progress> {
  const [row] = await db.query(
    dynamic<Progress>(sql`
      select coalesce(sum(batches), 0)::int as batches, coalesce(sum(done_rows), 0)::int as "doneRows",
             coalesce(sum((counts ->> 'issued')::int), 0)::int as issued,
             coalesce(sum((counts ->> 'left_alone')::int), 0)::int as "leftAlone",
             (select count(*)::int from ticket_tokens where generation > 1) as "newTokens"
        from milliard_jobs.job_ranges g join milliard_jobs.job_runs r using (run_id) where r.kind = 'tickets.rotate'`),
  );
  if (row === undefined) throw new Error('no progress');
  return row;
}

const tokensOf = (db: Database, generation: number) =>
  db.query(
    dynamic<{ ticketId: string; token: TicketToken }>(
      sql`select ticket_id as "ticketId", token from ticket_tokens where generation = ${generation} order by bucket, ticket_id`,
    ),
  );

async function verdictsOf(service: Tickets, tokens: readonly { readonly token: TicketToken }[]) {
  const counts: Record<string, number> = {};
  const waiting = tokens.values();
  const worker = async () => {
    for (const { token } of waiting) {
      const { verdict } = await service.verifyToken(token);
      counts[verdict] = (counts[verdict] ?? 0) + 1;
    }
  };
  await Promise.all(Array.from({ length: 64 }, worker));
  return counts;
}

test('a rotation is killed again and again, and PostgreSQL stopped under it: every ticket gets one new token, and only one', async () => {
  const dataDir = await mkdtemp(join(tmpdir(), 'milliard-rotation-'));
  const embedded = await acquireEmbedded({ dataDir, purpose: 'rotation test' });
  const env = { DATABASE_URL: embedded.url };
  const db = createDatabase({
    url: embedded.url,
    applicationName: 'rotation test',
    poolSize: 4,
    readClients: 4,
    statementTimeoutMs: 0,
    connectTimeoutMs: 5_000,
  });
  const service = createTickets({ db, clock: systemClock, groupCommit: true });
  const rotate = (rate: number) =>
    spawnMilliard({ args: ['tickets', 'rotate', '--reason', 'kill test', '--yes', '--rate', String(rate)], env });
  const hits = Math.ceil(kills * (full ? 0.8 : 0.5));
  let child = null as MilliardCommand | null;
  try {
    const migrated = await runMilliard({ args: ['migrate'], env });
    expect(migrated).toMatchObject({ code: 0 });
    const generated = await runMilliard({
      args: ['tickets', 'generate', '--count', String(tickets), '--events', '20'],
      env,
    });
    expect(generated).toMatchObject({ code: 0 });
    const old = await tokensOf(db, 1);
    expect(old.length).toBe(tickets);
    const sampleOld = () =>
      Array.from({ length: 20 }, () => old[Math.floor(Math.random() * old.length)] ?? { token: '' as TicketToken });

    const counts = await throughFaults({
      ...{ db, kills, databaseStops, hits },
      begin: () => rotate(rowsPerSecond),
      batches: async () => (await progressOf(db)).batches,
      crashDatabase: () => crashDatabase(dataDir, embedded),
      async afterFault() {
        // What is stored and what the cursor says are one.
        const now = await progressOf(db);
        expect(now.doneRows).toBe(now.newTokens);
        expect(await verdictsOf(service, sampleOld())).toEqual({ token_rotated: 20 });
      },
    });
    expect((await progressOf(db)).newTokens).toBeLessThan(tickets);

    // A server or the same command goes on; now without the brake.
    const last = rotate(1_000_000);
    child = last;
    expect({ code: await last.ended, output: last.output() }).toMatchObject({ code: 0 });
    expect(last.output()).toContain('0 without a current token, 0 duplicate tokens, 0 old tokens that verify');

    const fresh = await tokensOf(db, 100_000);
    const { doneRows, issued, leftAlone } = await progressOf(db);
    const zeros = {
      tickets_without_a_new_token: tickets - new Set(fresh.map(({ ticketId }) => ticketId)).size,
      tickets_with_two: fresh.length - new Set(fresh.map(({ ticketId }) => ticketId)).size,
      tokens_twice: old.length + fresh.length - new Set([...old, ...fresh].map(({ token }) => token)).size,
      redone_rows: doneRows - tickets + leftAlone,
    };
    const verdicts = { old: await verdictsOf(service, old), new: await verdictsOf(service, fresh) };
    console.log(`rotation of ${tickets} tickets: ${JSON.stringify({ ...counts, ...zeros, issued, verdicts })}`);
    expect(zeros).toEqual({ tickets_without_a_new_token: 0, tickets_with_two: 0, tokens_twice: 0, redone_rows: 0 });
    expect(verdicts).toEqual({ old: { token_rotated: tickets }, new: { valid: tickets } });
    expect(issued).toBe(tickets);
    expect(counts.in_a_batch).toBeGreaterThanOrEqual(hits);
  } finally {
    if (child?.isRunning() === true) process.kill(child.pid, 'SIGKILL');
    await service.drain();
    await db.close();
    await embedded.release();
    await rm(dataDir, { recursive: true, force: true });
  }
});
