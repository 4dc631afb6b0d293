import { expect, test } from 'vitest';
import { dynamic, sql } from '../storage/sql.ts';
import { openDataFolder } from '../testing/data-folder.ts';
import type { MilliardCommand } from '../testing/milliard-process.ts';

const folder = await openDataFolder('jobs test');

interface Cli extends MilliardCommand {
  /** The documents of standard output so far; a line that is not whole yet is left out. */
  documents(): readonly Document[];
}

interface Document {
  readonly run_id: string;
  readonly state: string;
  readonly done_rows: number;
  readonly percent: number | null;
  readonly fence: number;
  readonly owner: { readonly pid: number } | null;
  readonly replaced_owner: { readonly pid: number } | null;
}

const documentsOf = (stdout: string): readonly Document[] =>
  stdout
    .split('\n')
    .slice(0, -1)
    .filter((line) => line.startsWith('{'))
    .map((line): Document => JSON.parse(line));

function start(...args: string[]): Cli {
  const command = folder.start(...args);
  return { ...command, documents: () => documentsOf(command.texts.stdout) };
}

async function run(...args: string[]) {
  const done = await folder.run(...args);
  return { ...done, last: documentsOf(done.stdout).at(-1) };
}

const tickets = async (): Promise<number> =>
  Number((await folder.db.query(dynamic<{ count: bigint }>(sql`select count(*) as count from tickets`)))[0]?.count);

const count = 20_000;
const generate = ['jobs', 'start', 'tickets.generate', '--param', `count=${count}`, '--json'];
const patiently = { timeout: 60_000, interval: 50 };

/** Starts a run that would take minutes and waits until some of it is done. */
async function startSlow(): Promise<Cli & { readonly runId: string }> {
  const cli = start(...generate, '--rate', '500');
  await expect.poll(() => cli.documents().at(-1)?.done_rows ?? 0, patiently).toBeGreaterThan(0);
  return { ...cli, runId: cli.documents()[0]?.run_id ?? '' };
}

test('a job that gets SIGTERM is paused and ends with 4; resumed it is whole, and a watcher sees all of it', async () => {
  const before = await tickets();
  const { child, texts, ended, documents, runId } = await startSlow();
  const watcher = start('jobs', 'watch', runId, '--json');
  await expect.poll(() => watcher.documents().length, patiently).toBeGreaterThan(0);

  child.kill('SIGTERM');
  await ended;
  expect(child.exitCode).toBe(4);
  const paused = documents().at(-1);
  expect(paused).toMatchObject({ state: 'paused', run_id: runId });
  expect(texts.stderr).toContain(`Go on: milliard jobs resume ${runId}`);
  expect(await tickets()).toBe(before + (paused?.done_rows ?? -1));
  await expect.poll(() => watcher.documents().at(-1)?.state, patiently).toBe('paused');

  expect((await run('jobs', 'set', runId, '--rate', 'none', '--json')).exitCode).toBe(0);
  const resumed = await run('jobs', 'resume', runId, '--json');
  expect({ exitCode: resumed.exitCode, stderr: resumed.stderr }).toMatchObject({ exitCode: 0 });
  expect(resumed.last).toMatchObject({ state: 'done', done_rows: count, percent: 100 });
  expect(await tickets()).toBe(before + count);

  await watcher.ended;
  expect(watcher.child.exitCode).toBe(0);
  expect(watcher.documents().map(({ state }) => state)).toEqual(expect.arrayContaining(['running', 'paused', 'done']));
});

test('a job killed with -9 is seen to be dead by its watcher and taken over by the next process', async () => {
  const before = await tickets();
  const { child, ended, runId } = await startSlow();
  const watcher = start('jobs', 'watch', runId);
  await expect.poll(() => watcher.texts.stderr, patiently).toContain('state=running');
  child.kill('SIGKILL');
  await ended;
  await expect.poll(() => watcher.texts.stderr, patiently).toContain('silent_s=');

  expect((await run('jobs', 'set', runId, '--rate', 'none')).exitCode).toBe(0);
  const resumed = await run('jobs', 'resume', runId, '--json');
  expect(resumed).toMatchObject({ exitCode: 0, last: { state: 'done', done_rows: count } });
  expect(resumed.last?.replaced_owner?.pid).toBe(child.pid);
  expect(resumed.stderr).toContain(String(child.pid));
  expect(await tickets()).toBe(before + count);
  await watcher.ended;
  expect(watcher.child.exitCode).toBe(0);
});

test('a job is paused, and cancelled, from another process', async () => {
  const first = await startSlow();
  expect((await run('jobs', 'pause', first.runId)).stdout).toContain(`paused: ${first.runId}`);
  await first.ended;
  expect(first.child.exitCode).toBe(4);

  const again = start('jobs', 'resume', first.runId, '--json');
  await expect.poll(() => again.documents().at(-1)?.fence, patiently).toBe(2);
  expect((await run('jobs', 'cancel', first.runId)).exitCode).toBe(0);
  await again.ended;
  expect(again.child.exitCode).toBe(5);
  expect(again.documents().at(-1)).toMatchObject({ state: 'cancelled' });
  const refused = await run('jobs', 'resume', first.runId);
  expect(refused).toMatchObject({ exitCode: 1, stderr: expect.stringContaining('cancelled') });
});

test('while one process works at a job, the same command elsewhere shows its progress; Ctrl-C there ends only that', async () => {
  const { child, ended, documents, runId } = await startSlow();
  const second = start('jobs', 'resume', runId, '--json');
  await expect.poll(() => second.documents().length, patiently).toBeGreaterThan(0);
  expect(second.texts.stderr).toContain(`Process ${child.pid}`);
  second.child.kill('SIGINT');
  await second.ended;
  expect(second.child.exitCode).toBe(130);
  const seen = documents().at(-1)?.done_rows ?? 0;
  await expect.poll(() => documents().at(-1)?.done_rows ?? 0, patiently).toBeGreaterThan(seen);
  child.kill('SIGINT');
  await ended;
  expect(child.exitCode).toBe(4);
});

test('a detached job waits in the list, and a rehearsal changes nothing', async () => {
  const before = await tickets();
  const rehearsed = await run(...generate, '--dry-run');
  expect(rehearsed.exitCode).toBe(0);
  expect(rehearsed.last).toMatchObject({ dry_run: true, total: { rows: count } });
  expect(await tickets()).toBe(before);

  const queued = await run(...generate, '--detach');
  expect(queued).toMatchObject({ exitCode: 0, last: { state: 'queued' } });
  const listed = await run('jobs', 'list', '--state', 'queued', '--json');
  expect(listed.last).toMatchObject({ run_id: queued.last?.run_id, done_rows: 0 });
  expect((await run('jobs', 'errors', queued.last?.run_id ?? '')).stdout).toContain('No row failed');
});

test('a kind that is not there is told with those that are, and a wrong parameter by its name', async () => {
  const unknown = await run('jobs', 'start', 'tickets.eat');
  expect(unknown).toMatchObject({
    exitCode: 2,
    stderr: expect.stringMatching(/no kind "tickets.eat"[\s\S]*tickets\.generate/),
  });
  const wrong = await run('jobs', 'start', 'tickets.generate', '--param', 'count=none');
  expect(wrong).toMatchObject({ exitCode: 2, stderr: expect.stringContaining('--param count') });
});

test('a rotation that is watched by its id ends with the same proof as its command, and is over then', async () => {
  const rotated = await run('tickets', 'rotate', '--reason', 'trying', '--yes');
  expect({ exitCode: rotated.exitCode, stderr: rotated.stderr }).toMatchObject({ exitCode: 0 });
  const runId = (await run('jobs', 'list', '--kind', 'tickets.rotate', '--json')).last?.run_id ?? '';
  const proof = rotated.stdout.slice(rotated.stdout.indexOf('done: '));
  expect(proof).toContain('proof, of all events');
  expect((await run('jobs', 'watch', runId)).stdout).toBe(proof);
  expect(await run('jobs', 'resume', runId)).toMatchObject({
    exitCode: 1,
    stderr: expect.stringContaining('The run is over (done)'),
  });
});
