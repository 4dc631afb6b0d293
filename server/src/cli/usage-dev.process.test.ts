import { setTimeout as delay } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { dynamic, sql } from '../storage/sql.ts';
import { openDataFolder } from '../testing/data-folder.ts';
import { runMilliard, startMilliard } from '../testing/milliard-process.ts';

const { folder, db } = await openDataFolder('usage dev test');

test('a first start has usage, its lines for the shell work, and old raw days are dropped where that is wanted', async () => {
  const args = ['dev', '--data-dir', folder];
  const first = await startMilliard({ args });
  expect(first.output()).toContain('loaded 5,000 sample records of usage');
  const urls = [...first.output().matchAll(/curl '(http[^']*\/usage\/[^']*)'/g)].map(([, url]) => url ?? '');
  expect(urls).toHaveLength(2);
  for (const url of urls) {
    const answer = (await (await fetch(url)).json()) as { items: readonly object[] };
    expect(answer.items.length).toBeGreaterThan(0);
  }
  await first.stop('SIGTERM');

  const env = { MILLIARD_USAGE_KEEP_RAW_DAYS: '3' };
  const second = await startMilliard({ args, env });
  const kept = dynamic<{ days: number }>(sql`select count(distinct day)::int as days from usage_records`);
  while ((await db.query(kept))[0]?.days !== 3) await delay(20);
  await second.stop('SIGTERM');
  expect(second.output()).not.toContain('sample records of usage');
  const verified = await runMilliard({ args: ['verify', 'usage', '--json', '--data-dir', folder] });
  expect(JSON.parse(verified.stdout.trim().split('\n').at(-1) ?? '')).toMatchObject({ differences: 0, totals: 200 });
  const refused = await runMilliard({ args: ['usage', 'drop-raw', '--older-than', '36h', '--data-dir', folder] });
  expect(refused).toMatchObject({ code: 2, stderr: expect.stringContaining('give whole days') });
});
