import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { withFolderLock } from './folder-lock.mjs';

const dir = await mkdtemp(join(tmpdir(), 'milliard-lock-'));
afterAll(() => rm(dir, { recursive: true, force: true }));

/** Runs two holders of one lock at once. Returns the order of what they did. */
async function twoHolders(path: string): Promise<string[]> {
  const steps: string[] = [];
  const hold = async (name: string) => {
    steps.push(`${name} begins`);
    await new Promise((resolve) => setImmediate(resolve));
    steps.push(`${name} ends`);
  };
  await Promise.all([withFolderLock(path, () => hold('a')), withFolderLock(path, () => hold('b'))]);
  return steps;
}

const oneAfterTheOther = [
  ['a begins', 'a ends', 'b begins', 'b ends'],
  ['b begins', 'b ends', 'a begins', 'a ends'],
];

test('two holders of one lock work one after the other and leave no file', async () => {
  const path = join(dir, 'plain');
  expect(oneAfterTheOther).toContainEqual(await twoHolders(path));
  expect(existsSync(path)).toBe(false);
});

test('the lock of a process that was killed is taken over by one of two that wait', async () => {
  const path = join(dir, 'dead');
  const { pid } = spawnSync(process.execPath, ['--version']);
  await writeFile(path, `${pid} left-behind`);
  expect(oneAfterTheOther).toContainEqual(await twoHolders(path));
});

test('a lock without a heartbeat is taken over although its process id lives again', async () => {
  const path = join(dir, 'silent');
  await writeFile(path, `${process.pid} left-behind`);
  const minuteAgo = new Date(Date.now() - 60_000);
  await utimes(path, minuteAgo, minuteAgo);
  expect(await withFolderLock(path, async () => 'held')).toBe('held');
});

test('work that fails releases its lock', async () => {
  const path = join(dir, 'failing');
  await expect(withFolderLock(path, () => Promise.reject(new Error('broken')))).rejects.toThrow('broken');
  expect(existsSync(path)).toBe(false);
});
