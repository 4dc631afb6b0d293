import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type MilliardProcess, runMilliard, startMilliard } from '../testing/milliard-process.ts';

const day = new Date(Date.now() - 86_400_000).toISOString().slice(0, 10);

let dataDir: string;
let server: MilliardProcess;
beforeAll(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'milliard-corrections-'));
  server = await startMilliard({ args: ['dev', '--data-dir', dataDir] });
  const answer = await fetch(`${server.url}/api/v1/usage/records`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({
      record_id: 'cli-1',
      subscription_id: 'CLI1',
      usage_type: 'data',
      used_at: `${day}T10:00:00Z`,
      used: 10,
      price: '0.10',
    }),
  });
  expect(answer.status).toBe(201);
});
afterAll(async () => {
  await server.stop('SIGTERM');
  await rm(dataDir, { recursive: true, force: true });
});

const run = (...args: string[]) => runMilliard({ args: ['usage', ...args, '--data-dir', dataDir] });
const ofRecord = ['CLI1', 'cli-1', '--day', day];

async function sums(period = day): Promise<unknown[]> {
  const { stdout } = await run('metrics', '--from', period, '--to', period, '--fresh', '--json');
  const rows: Record<string, unknown>[] = stdout.split('\n').flatMap((line) => (line === '' ? [] : [JSON.parse(line)]));
  return rows.filter((row) => String(row['subscription_id']).startsWith('CLI'));
}

test('a record is corrected, moved, deleted and brought back; a retry with its revision changes nothing', async () => {
  const corrected = await run(
    'correct',
    ...ofRecord,
    '--price',
    '0.2',
    '--to-subscription',
    'CLI2',
    '--reason',
    'a slip',
  );
  expect(corrected).toMatchObject({ code: 0 });
  expect(corrected.stdout).toContain(
    `Record cli-1 of CLI1 on ${day} has revision 1 now: 10 of data for 0.20, used by CLI2`,
  );
  expect(await sums()).toEqual([
    { subscription_id: 'CLI2', usage_type: 'data', total_price: '0.20', total_used: '10', records: 1 },
  ]);
  for (const said of ['has revision 2 now', 'had revision 2 already']) {
    const deleted = await run('delete', ...ofRecord, '--revision', '2');
    expect(deleted.stdout).toContain(`${said}: it is deleted.`);
  }
  expect(await sums()).toEqual([]);
  const again = await run('delete', ...ofRecord);
  expect(again.code).toBe(1);
  expect(again.stderr).toContain('Revision 2 deleted the record.');
  const back = await run('correct', ...ofRecord, '--restore', '--json');
  expect(JSON.parse(back.stdout)).toMatchObject({ revision: 3, deleted: false, record: { subscription_id: 'CLI2' } });
});

test('an adjustment takes from a day without raw records, once', async () => {
  const adjust = (...more: string[]) =>
    run('adjust', 'CLI3', '--type', 'voice', '--day', '2020-02-29', '--reason', 'settled', ...more);
  expect((await adjust('--id', 'a1', '--used', '60', '--price', '1.50')).stdout).toContain('Adjustment a1 is made');
  expect((await adjust('--id', 'a1', '--used', '60', '--price', '1.5')).stdout).toContain(
    'Adjustment a1 was made already',
  );
  expect((await adjust('--id', 'a2', '--used', '-20')).code).toBe(0);
  const tooMuch = await adjust('--id', 'a3', '--used', '-41');
  expect([tooMuch.code, tooMuch.stderr]).toEqual([1, expect.stringContaining('would fall below zero')]);
  expect(await sums('2020-02-29')).toEqual([
    { subscription_id: 'CLI3', usage_type: 'voice', total_price: '1.50', total_used: '40', records: 0 },
  ]);
});

test('what is wrong is told before anything is done', async () => {
  const wrong: [string[], string][] = [
    [['correct', ...ofRecord], 'give what to change'],
    [['correct', ...ofRecord, '--price', '-1'], '--price must be a decimal'],
    [['correct', 'CLI1', 'cli-1', '--day', '2026-02-30', '--used', '1'], '--day is "2026-02-30"'],
    [['delete', ...ofRecord, '--revision', '0'], '--revision is "0"'],
    [
      ['adjust', 'CLI3', '--type', 'voice', '--day', '2020-02-29', '--id', 'a4', '--reason', 'x'],
      'together they change nothing',
    ],
  ];
  for (const [args, message] of wrong) {
    const { code, stderr } = await run(...args);
    expect([code, stderr]).toEqual([2, expect.stringContaining(message)]);
  }
});
