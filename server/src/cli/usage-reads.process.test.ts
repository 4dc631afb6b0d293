import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type MilliardProcess, runMilliard, startMilliard } from '../testing/milliard-process.ts';

const dayMs = 86_400_000;
const daysAgo = (days: number) => new Date(Date.now() - days * dayMs).toISOString().slice(0, 10);

let dataDir: string;
let server: MilliardProcess;
beforeAll(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'milliard-usage-'));
  server = await startMilliard({ args: ['dev', '--data-dir', dataDir], env: { MILLIARD_USAGE_ROLLUP_MS: '100' } });
  const record = (n: number, more: object) => ({
    record_id: `cli-${n}`,
    subscription_id: 'CLI1',
    usage_type: 'data',
    used_at: `${daysAgo(2)}T10:00:00Z`,
    used: 10,
    price: '0.10',
    ...more,
  });
  const answer = await fetch(`${server.url}/api/v1/usage/records`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify([
      record(1, {}),
      record(2, { price: '0.20', used_at: `${daysAgo(1)}T10:00:00Z` }),
      record(3, { subscription_id: 'CLI2', usage_type: 'voice', price: '7' }),
    ]),
  });
  const { batch_id } = (await answer.json()) as { batch_id: string };
  // The server rolls up by itself.
  const waited = await fetch(
    `${server.url}/api/v1/usage/metrics?from=${daysAgo(3)}&to=${daysAgo(0)}&wait_for=${batch_id}`,
  );
  expect(waited.status).toBe(200);
});
afterAll(async () => {
  await server.stop('SIGTERM');
  await rm(dataDir, { recursive: true, force: true });
});

const run = (...args: string[]) => runMilliard({ args: ['usage', ...args, '--data-dir', dataDir] });
const json = async (...args: string[]) => {
  const { code, stdout, stderr } = await run(...args, '--json');
  expect(code, stderr).toBe(0);
  return stdout
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line));
};

describe('milliard usage', () => {
  test('metrics shows a table, NDJSON or CSV of the period', async () => {
    const data = { subscription_id: 'CLI1', usage_type: 'data', total_price: '0.30', total_used: '20', records: 2 };
    const mine = (await json('metrics')).filter(({ subscription_id }) => subscription_id.startsWith('CLI'));
    expect(mine).toEqual([
      data,
      { subscription_id: 'CLI2', usage_type: 'voice', total_price: '7.00', total_used: '10', records: 1 },
    ]);
    expect((await json('metrics', '--by-day', '--subscription', 'CLI1')).map(({ day }) => day)).toEqual([
      daysAgo(2),
      daysAgo(1),
    ]);
    const table = await run('metrics', '--subscription', 'CLI1', '--fresh');
    expect(table.stdout).toMatch(
      /SUBSCRIPTION +TYPE +PRICE +USED +UNIT +RECORDS\n *CLI1 +data +0\.30 +20 +kilobytes +2\n/,
    );
    expect(table.stderr).toContain('As of ');
    const csv = await run('metrics', '--type', 'voice', '--subscription', 'CLI2', '--csv');
    expect(csv.stdout).toBe('subscription_id,usage_type,total_price,total_used,records\nCLI2,voice,7.00,10,1\n');
  });

  test('over-limit shows who has reached it', async () => {
    expect(await json('over-limit', '7', '--subscription', 'CLI2')).toEqual([
      { subscription_id: 'CLI2', exceeded: [{ usage_type: 'voice', total_price: '7.00', exceeded_by: '0.00' }] },
    ]);
    const table = await run('over-limit', '0.2', '--from', daysAgo(1), '--to', daysAgo(0), '--subscription', 'CLI1');
    expect(table.stdout).toMatch(/CLI1 +data +0\.20 +0\.00/);
    expect((await run('over-limit', '1000000')).stdout).toContain('Nobody has reached this limit.');
  });

  test('status, subscriptions and types tell what there is', async () => {
    expect(await json('status')).toMatchObject([{ open_batches: 0, horizon: { raw_from: expect.any(String) } }]);
    expect((await run('status')).stdout).toMatch(/not rolled up +nothing/);
    const unregistered = await json('subscriptions', '--unregistered', '--limit', '500');
    expect(unregistered).toContainEqual(expect.objectContaining({ subscription_id: 'CLI1', registered: false }));
    expect((await run('subscriptions', '--after', 'CLI1', '--limit', '1')).stdout).toMatch(/CLI2 +not registered +yes/);
    await json('types', '--add', 'sms', '--unit', 'messages');
    expect(await json('types')).toContainEqual({ usage_type: 'sms', unit: 'messages' });
  });

  test.each([
    [['over-limit', '1e3'], '"1e3" is no limit'],
    [['over-limit'], 'missing required argument'],
    [['over-limit', '1', '--from', '2026-01-01'], '--from and --to: give both'],
    [['metrics', '--from', '2026-02-30'], '--from is "2026-02-30"'],
    [['metrics', '--from', '2026-02-02', '--to', '2026-02-01'], '--from must not be after --to'],
    [['metrics', '--csv', '--json'], '--json and --csv'],
    [['types', '--add', 'sms'], '--add and --unit'],
    [['types', '--add', 'SMS', '--unit', 'x'], '--add must begin with a small letter'],
    [['subscriptions', '--status', 'gone'], '--status is "gone"'],
    [['subscriptions', '--unregistered', '--status', 'new'], '--unregistered stands alone'],
  ])('%j is refused with a sentence that helps', async (args, sentence) => {
    const { code, stderr } = await run(...args);
    expect([code, stderr]).toEqual([2, expect.stringContaining(sentence)]);
  });

  test('a type that nobody registered is told with those that are', async () => {
    const { code, stderr } = await run('metrics', '--type', 'date');
    expect([code, stderr]).toEqual([1, expect.stringMatching(/"date" is no usage type\. Known: data, /)]);
  });
});
