import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { withFolderMutex } from './folder-mutex.ts';

const MODULE = fileURLToPath(new URL('./folder-mutex.ts', import.meta.url));
const IDENTITY = fileURLToPath(new URL('./process-identity.ts', import.meta.url));
const children: ChildProcess[] = [];
let folder = '';

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'mutex-'));
});
afterEach(async () => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
  await rm(folder, { recursive: true, force: true });
});

const options = (timeoutMs = 30_000) => ({ folder, timeoutMs });

/** Runs code in a process of its own; `lock(work)` is the mutex on the test's folder. */
function run(code: string): ChildProcess {
  const script = `
    import { withFolderMutex } from ${JSON.stringify(MODULE)};
    import { findStartToken } from ${JSON.stringify(IDENTITY)};
    import { readFileSync, writeFileSync } from 'node:fs';
    import { setTimeout as delay } from 'node:timers/promises';
    const counter = ${JSON.stringify(join(folder, 'counter'))};
    const lock = (work) => withFolderMutex({ folder: ${JSON.stringify(folder)}, timeoutMs: 30_000 }, work);
    ${code}`;
  const args = ['--import', 'tsx', '--input-type=module', '-e', script];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  children.push(child);
  return child;
}

async function exitCode(child: ChildProcess): Promise<number | null> {
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
  return child.exitCode;
}

test('processes that count at the same time lose no count', async () => {
  await writeFile(join(folder, 'counter'), '0');
  const increments = `
    for (let i = 0; i < 50; i++) await lock(async () => {
      const value = Number(readFileSync(counter, 'utf8'));
      await delay(Math.random() < 0.2 ? 1 : 0);
      writeFileSync(counter, String(value + 1));
    });`;
  const codes = await Promise.all([1, 2, 3, 4].map(() => exitCode(run(increments))));
  expect(codes).toEqual([0, 0, 0, 0]);
  expect(await readFile(join(folder, 'counter'), 'utf8')).toBe('200');
  const left = (await readdir(folder)).filter((name) => name.startsWith('mutex-'));
  expect(left).toHaveLength(1);
});

test('the lock of a killed process is free', async () => {
  const child = run(`await lock(async () => { console.log('held'); await delay(1e6); });`);
  if (child.stdout !== null) await once(child.stdout, 'data');
  await expect(withFolderMutex(options(50), async () => 1)).rejects.toMatchObject({ code: 'busy' });
  child.kill('SIGKILL');
  await exitCode(child);
  expect(await withFolderMutex(options(), async () => 'mine')).toBe('mine');
});

test('processes killed at random moments never leave it taken and never share it', async () => {
  await writeFile(join(folder, 'counter'), '');
  // A second process inside would see the first one's mark.
  const inside = `
    for (;;) await lock(async () => {
      const before = readFileSync(counter, 'utf8');
      if (before !== '' && (await findStartToken(Number(before))) !== null) process.exit(3);
      writeFileSync(counter, String(process.pid));
      console.log('in');
      await delay(Math.random() * 3);
      writeFileSync(counter, '');
    });`;
  const workers = [run(inside), run(inside)];
  for (const worker of workers) worker.stdout?.resume();
  for (let round = 0; round < 8; round++) {
    const extra = run(inside);
    if (extra.stdout !== null) await once(extra.stdout, 'data');
    // It is in its loop now; where in it the kill comes is the point of the test.
    await new Promise((done) => setTimeout(done, Math.random() * 30));
    extra.kill('SIGKILL');
    await exitCode(extra);
  }
  for (const worker of workers) expect(worker.exitCode).toBeNull();
  for (const worker of workers) worker.kill('SIGKILL');
  await Promise.all(workers.map(exitCode));
  expect(await withFolderMutex(options(), async () => 'mine')).toBe('mine');
});

test('within one process, too, one waits for the other', async () => {
  const order: string[] = [];
  const turn = (name: string) =>
    withFolderMutex(options(), async () => {
      order.push(`${name} in`);
      await new Promise((done) => setTimeout(done, 5));
      order.push(`${name} out`);
    });
  await Promise.all([turn('a'), turn('b')]);
  expect(order.map((entry) => entry.split(' ')[1])).toEqual(['in', 'out', 'in', 'out']);
});

test('it is given back when the work fails', async () => {
  await expect(
    withFolderMutex(options(), async () => {
      throw new Error('no');
    }),
  ).rejects.toThrow('no');
  expect(await withFolderMutex(options(), async () => 2)).toBe(2);
});
