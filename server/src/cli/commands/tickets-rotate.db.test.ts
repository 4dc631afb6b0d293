import { PassThrough, Readable, Writable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeEach, describe, expect, test } from 'vitest';
import { openTestDatabase } from '../../testing/open-database.ts';
import { openTestRotation } from '../../testing/test-tickets-rotation.ts';
import type { CliContext } from '../context.ts';
import { runCli } from '../program.ts';

const { db, url } = await openTestDatabase({ poolSize: 12 });
const world = openTestRotation(db);
beforeEach(() => world.reset());
afterAll(() => world.tickets.drain());

/** Runs a command line in this process. With an answer there is a person at a terminal, who types it. */
async function milliard(args: readonly string[], answer: string | null = null) {
  const isTTY = answer !== null;
  let output = '';
  const stream = () =>
    Object.assign(
      new Writable({
        write(chunk, _encoding, done) {
          output += String(chunk);
          done();
        },
      }),
      { isTTY },
    );
  const typed = new PassThrough();
  const context: CliContext = {
    environment: { DATABASE_URL: url, TERM: 'dumb' },
    stdin: answer === null ? Readable.from([]) : Object.assign(typed, { isTTY }),
    stdout: stream(),
    stderr: stream(),
    signal: new AbortController().signal,
    packageDir: fileURLToPath(new URL('../../..', import.meta.url)),
    version: '1.2.3',
  };
  if (answer !== null) typed.write(`${answer}\n`);
  const code = await runCli(['tickets', ...args], context);
  typed.end();
  return { code, output };
}

const leak = ['rotate', '--reason', 'backup stolen'];

describe('asking', () => {
  test('nobody to ask: nothing is done, exit code 2', async () => {
    const old = await world.issue({ A: 5 });
    const { code, output } = await milliard(leak);
    expect(code).toBe(2);
    expect(output).toMatch(/Nobody can be asked here.*--yes/);
    expect(await world.verdicts(old)).toEqual({ valid: 5 });
  });

  test('any answer but yes changes nothing', async () => {
    const old = await world.issue({ A: 5 });
    const { code, output } = await milliard(leak, 'y');
    expect(code).toBe(1);
    expect(output).toContain('Every token of 5 tickets (all events) will be refused at once');
    expect(output).toContain('Nothing was changed.');
    expect(await world.verdicts(old)).toEqual({ valid: 5 });
  });

  test('yes: the cut-off is told first, then the proof', async () => {
    const old = await world.issue({ A: 120, B: 30 });
    const { code, output } = await milliard([...leak, '--event', 'A'], 'yes');
    expect(code).toBe(0);
    expect(output).toMatch(
      /every older token of event A is refused since \d{4}-\d\d-\d\dT[\d:.]+Z[\s\S]*done: 120 rows/,
    );
    expect(output).toContain('120 tickets; 0 without a current token, 0 duplicate tokens, 0 old tokens that verify');
    expect(output).toContain('30 tickets; 30 verify as before, 0 have lost their token');
    expect(await world.verdicts(old)).toEqual({ token_rotated: 120, valid: 30 });
    for (const { token } of [...old, ...(await world.reread(old))]) expect(output).not.toContain(token);
  });
});

test('a grace is told with its end; the older name of the command does the same', async () => {
  const old = await world.issue({ A: 5 });
  const { code, output } = await milliard(['regenerate-tokens', '--reason', 'yearly', '--grace', '24h', '--yes']);
  expect(code).toBe(0);
  expect(output).toMatch(/every older token is accepted until .*, then refused/);
  expect(await world.verdicts(old)).toEqual({ valid: 5 });
});

test('typed again while it is unfinished, it goes on with the same run and says so', async () => {
  await world.issue({ A: 200 });
  let batches = 0;
  const elsewhere = world.engine();
  const paused = await world.rotate({ reason: 'backup stolen' }, async () => {
    const [open] = await elsewhere.list({ states: ['running'], kind: null, limit: 1, after: null });
    if (++batches === 2 && open !== undefined) await elsewhere.pause(open.runId, 'somebody');
  });
  expect(paused.state).toBe('paused');
  const { code, output } = await milliard([...leak, '--yes']);
  expect(code).toBe(0);
  expect(output).toContain(`jobs cancel ${paused.runId}`);
  expect(output).toMatch(/is unfinished: this goes on with it/);
  expect(await elsewhere.get(paused.runId)).toMatchObject({ state: 'done', counts: { issued: 200, left_alone: 0 } });
});

test('a run that no server takes is queued, and that the old tokens are still accepted is said', async () => {
  const old = await world.issue({ A: 5 });
  const { code, output } = await milliard([...leak, '--yes', '--detach']);
  expect(code).toBe(0);
  expect(output).toMatch(/STILL ACCEPTED/);
  expect(await world.verdicts(old)).toEqual({ valid: 5 });
});

test('a rehearsal asks nothing and changes nothing', async () => {
  const old = await world.issue({ A: 60 });
  expect((await milliard([...leak, '--dry-run'])).code).toBe(0);
  expect(await world.verdicts(old)).toEqual({ valid: 60 });
});

test('what is due is purged from the command line', async () => {
  const old = await world.issue({ A: 20 });
  await milliard([...leak, '--yes', '--keep-days', '0']);
  expect((await milliard(['purge-tokens'])).code).toBe(0);
  expect(await world.verdicts(old)).toEqual({ unknown: 20 });
});

test.each([
  [['rotate'], /--reason/],
  [[...leak, '--grace', 'soon'], /--grace is "soon"/],
  [[...leak, '--keep-days', '-1'], /--keep-days/],
  [['rotate', '--reason', 'see 0197c0b9-3e00-4a5c-9f3e-5d2f8c1b7a60', '--yes'], /--reason .*leave the token out/],
])('%j is refused with exit code 2', async (args, message) => {
  const { code, output } = await milliard(args);
  expect(code).toBe(2);
  expect(output).toMatch(message);
});
