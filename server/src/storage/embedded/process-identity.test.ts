import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { expect, test } from 'vitest';
import { findStartToken, isAlive, ownIdentity, parseProcStat } from './process-identity.ts';

test('the start time is found behind a name with spaces and brackets', () => {
  const rest = 'S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 998877 20';
  expect(parseProcStat(`42 (a b) c)) ${rest}`)).toEqual({ state: 'S', startTicks: '998877' });
  expect(parseProcStat('42 (node) S 1')).toBeNull();
});

test('a process is itself, and not another one with the same pid', async () => {
  const own = await ownIdentity();
  expect(await isAlive(own)).toBe(true);
  expect(await isAlive({ pid: own.pid, startToken: 'an earlier one' })).toBe(false);
  expect(await isAlive({ pid: own.pid, startToken: 'unknown' })).toBe(true);
});

test.each(existsSync('/proc/self/stat') ? (['proc', 'ps'] as const) : (['ps'] as const))(
  'a living process has a lasting start token and a dead one has none (%s)',
  async (source) => {
    const child = spawn(process.execPath, ['-e', 'setInterval(() => 0, 1000)'], { stdio: 'ignore' });
    await once(child, 'spawn');
    const pid = child.pid ?? 0;
    const token = await findStartToken(pid, source);
    expect(token).toMatch(/\d/);
    expect(await findStartToken(pid, source)).toBe(token);
    child.kill('SIGKILL');
    await once(child, 'exit');
    expect(await findStartToken(pid, source)).toBeNull();
  },
);
