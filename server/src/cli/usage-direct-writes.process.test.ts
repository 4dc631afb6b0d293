import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { dynamic, sql } from '../storage/sql.ts';
import { openDataFolder } from '../testing/data-folder.ts';
import { startMilliard } from '../testing/milliard-process.ts';
import { findPostgres15 } from '../testing/postgres-15.ts';

const full = process.env['MILLIARD_TEST_FAULTS'] === 'full';
const writers = 4;
const rounds = full ? 400 : 25;
const kills = full ? 40 : 4;
const rows = 40;

const { folder, server: embedded, db, run } = await openDataFolder('usage direct writes test');
const psql = join(findPostgres15() ?? '', 'psql');
const dayAgo = (days: number): string => new Date(Date.now() - days * 86_400_000).toISOString().slice(0, 10);
const days = [1, 2, 3, 4].map(dayAgo);
const columns = 'used, used_at, day, usage_type, subscription_id, record_id, price';

/** All writers write for the same subscriptions, each its own records. */
const valuesOf = (name: string, i: number): readonly (string | number)[] => {
  const day = days[i % days.length] ?? '';
  return [i, `${day} 10:00Z`, day, i % 3 === 0 ? 'voice' : 'data', `S${i % 7}`, `${name}-${i}`, `0.${10 + i}`];
};

const insertOf = (name: string, indices: readonly number[]): string =>
  `insert into usage_records (${columns}) values ${indices.map((i) => `('${valuesOf(name, i).join("','")}')`).join()} on conflict do nothing;`;

const named = (name: string): string => `day in ('${days.join("','")}') and record_id like '${name}-%'`;

/** What one round writes: COPY and INSERT in one transaction, then changes of the round before, then something that comes to nothing. */
function roundOf(writer: string, round: number): string {
  const [name, before] = [`${writer}-${round}`, `${writer}-${round - 1}`];
  const lines = Array.from({ length: rows }, (_, i) => valuesOf(name, i).join('\t'));
  return [
    `begin;\ncopy usage_records (${columns}) from stdin;`,
    ...lines,
    '\\.',
    insertOf(name, [0, 1, rows, rows + 1]),
    'commit;',
    `update usage_records set price = price + 0.01, used = used + 1 where ${named(before)};`,
    `delete from usage_records where ${named(before)} and used = 8;`,
    'begin;',
    insertOf(`${name}-gone`, [1, 2, 3]),
    `update usage_records set price = 99 where ${named(name)};`,
    'rollback;',
    `\\echo written ${round}\n`,
  ].join('\n');
}

// Of each round so many rows stay.
const stays = rows + 2 - 1;

interface Writer {
  /** Rounds of which psql has said that they are written. */
  readonly acknowledged: number;
  readonly killed: boolean;
}

/** A psql that writes, killed in the midst of its rounds or left to its end. */
async function write(name: string, isToBeKilled: boolean): Promise<Writer> {
  const child = spawn(psql, ['-X', '-q', '-v', 'ON_ERROR_STOP=1', embedded.url], {
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  let [stdout, stderr] = ['', ''];
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  child.stdin.on('error', () => {});
  const closed = once(child, 'close');
  const acknowledged = () => stdout.split('\n').filter((line) => line.startsWith('written ')).length;
  for (let round = 0; round < rounds; round++) child.stdin.write(roundOf(name, round));
  child.stdin.end();
  if (isToBeKilled) {
    const goal = Math.floor(Math.random() * (rounds / 2));
    while (acknowledged() < goal && child.exitCode === null) await delay(1);
    child.kill('SIGKILL');
  }
  const [code, signal] = (await closed) as [number | null, NodeJS.Signals | null];
  if (code !== 0 && signal !== 'SIGKILL') throw new Error(`psql ended with ${code}: ${stderr}`);
  return { acknowledged: acknowledged(), killed: signal === 'SIGKILL' };
}

test('rows that psql writes, changes and deletes while the server rolls up are in the sums, each exactly once', async () => {
  expect(execFileSync(psql, ['--version'], { encoding: 'utf8' })).toContain('psql');
  const server = await startMilliard({
    args: ['dev', '--data-dir', folder, '--no-sample-data'],
    env: { MILLIARD_USAGE_ROLLUP_MS: '100' },
  });
  try {
    const enabled = await run('usage', 'direct-writes', 'enable', '--json');
    expect(enabled, enabled.stderr).toMatchObject({ exitCode: 0 });
    expect(JSON.parse(enabled.stdout)).toMatchObject({ state: 'enabled', missing: [] });

    let isWriting = true;
    let sent = 0;
    // The API beside.
    const sending = (async () => {
      for (; isWriting; sent++) {
        const [used_at, record_id] = [`${days[0]}T10:00:00Z`, `api-${sent}`];
        const record = { record_id, subscription_id: 'S1', usage_type: 'data', used_at, used: 1, price: '0.01' };
        const answer = await fetch(`${server.url}/api/v1/usage/records`, {
          method: 'POST',
          headers: { 'content-type': 'application/json' },
          body: JSON.stringify(record),
        });
        expect(answer.status).toBe(201);
      }
    })();
    const written: Writer[] = [];
    const working = Array.from({ length: writers }, async (_, w) => {
      for (let n = 0; n < kills / writers; n++) written.push(await write(`k${w}-${n}`, true));
      written.push(await write(`w${w}`, false));
    });
    const worked = Promise.all(working).finally(() => {
      isWriting = false;
    });
    await Promise.all([worked, sending]);
    const [counted] = await db.query(
      dynamic<{ raw: bigint; gone: bigint; batches: bigint; rollups: bigint; differences: bigint }>(sql`
        select (select count(*) from usage_records) as raw,
          (select count(*) from usage_records where record_id like '%gone%' or price > 90) as gone,
          count(*) as batches, count(distinct rolled_up_at) as rollups,
          (select count(*) from usage_adjustments where source = 'direct') as differences
          from usage_batches where kind = 'direct'`),
    );
    const acknowledged = written.reduce((sum, one) => sum + one.acknowledged, 0);
    const killed = written.filter((one) => one.killed).length;
    // Of a round whose acknowledgement was killed all or nothing may be there.
    const least = acknowledged * stays + sent;
    expect(Number(counted?.raw)).toBeGreaterThanOrEqual(least);
    expect(Number(counted?.raw)).toBeLessThanOrEqual(least + killed * (rows + 2) + acknowledged);
    expect(counted).toMatchObject({ gone: 0n });
    expect(Number(counted?.rollups)).toBeGreaterThan(3);
    expect(Number(counted?.differences)).toBeGreaterThan(0);

    await expect
      .poll(() => db.query(dynamic(sql`select from usage_batches where rolled_up_at is null`)), { timeout: 30_000 })
      .toEqual([]);
    const verified = await run('verify', 'usage', '--json');
    expect(verified, verified.stderr).toMatchObject({ exitCode: 0 });
    const verdict = JSON.parse(verified.stdout.trim().split('\n').at(-1) ?? '') as Record<string, number>;
    console.log(
      `${acknowledged} rounds of psql acknowledged, ${killed} of ${written.length} psql killed, ${sent} records by the API; ${counted?.batches} direct batches in ${counted?.rollups} rollups, ${counted?.differences} differences; raw rows ${counted?.raw}; verify usage: ${JSON.stringify(verdict)}`,
    );
    expect(verdict).toMatchObject({ raw_rows: Number(counted?.raw), differences: 0 });
    expect(await sumsThatDiffer()).toEqual([]);
  } finally {
    await server.stop('SIGTERM');
  }
});

/** GROUP BY over the raw rows beside both tables of sums, asked without any code of the product. */
const sumsThatDiffer = () =>
  db.query(
    dynamic(sql`
      with truth as (select subscription_id, usage_type, day, count(*) as n, sum(used) as u, sum(price) as p from usage_records
                      group by grouping sets ((1, 2, 3), (1, 2))),
        present as (
          select subscription_id, usage_type, day, records, total_used, total_price from usage_daily where records > 0
          union all select subscription_id, usage_type, null, records, total_used, total_price from usage_totals where records > 0)
      select * from truth t full join present s on (t.subscription_id, t.usage_type) = (s.subscription_id, s.usage_type)
          and coalesce(t.day, 'infinity') = coalesce(s.day, 'infinity')
       where (n, u, p) is distinct from (records, total_used, total_price)`),
  );
