import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Day, dayOf, formatDay } from '../core/days.ts';
import type { Instant } from '../core/time.ts';
import { createUsageMaker } from '../domains/usage/usage-generator.ts';
import type { Database } from '../storage/database.ts';
import { dynamic, sql } from '../storage/sql.ts';
import { runMilliard } from '../testing/milliard-process.ts';
import { outcomeOf } from '../testing/open-batches.ts';
import { createTestClient } from '../testing/open-database.ts';
import { type ServerOnNode, type ServersOnNodes, serveOnEachNode } from '../testing/servers-on-nodes.ts';
import { watchSums } from '../testing/sums-watch.ts';
import { compareUsage, startUsageTraffic, trafficSubscriptions, type UsageTraffic } from '../testing/usage-traffic.ts';

// Three servers, each connected to another node of one cluster: what only one of them may do at a time.
const full = process.env['MILLIARD_TEST_FAULTS'] === 'full';
const kills = full ? 10 : 3;
const requestsBetween = full ? 100 : 30;

let served: ServersOnNodes;
/** Of the coordinator, where all of them meet. */
let db: Database;
beforeAll(async () => {
  served = await serveOnEachNode({ workers: 2, shards: 4, env: { MILLIARD_USAGE_ROLLUP_MS: '100' } });
  db = createTestClient(served.cluster.coordinatorUrl, { statementTimeoutMs: 60_000 });
});
afterAll(async () => {
  await db?.close();
  await served?.close();
});

const serverNamed = (name: string): ServerOnNode => {
  const server = served.servers.find((candidate) => candidate.name === name);
  if (server === undefined) throw new Error(`no server is called "${name}"`);
  return server;
};

async function untilMore(traffic: UsageTraffic, requests: number): Promise<void> {
  const goal = traffic.count() + requests;
  while (traffic.count() < goal) await delay(5);
}

interface Seen {
  /** Looks that found somebody at work. */
  looks: number;
  /** The most processes at once. */
  most: number;
  readonly names: Set<string>;
}

/** Asks again and again whose sessions are at some work. Those of killed processes may take a moment to end and do not count. */
function watchSessions(atWork: string): { stop(): Promise<Seen> } {
  const seen: Seen = { looks: 0, most: 0, names: new Set() };
  let isOver = false;
  const looking = (async () => {
    while (!isOver) {
      const rows = await db.query<{ name: string }>({ text: atWork, values: [] });
      const living = new Set(rows.map(({ name }) => name).filter((name) => !served.killed.has(name)));
      if (living.size > 0) seen.looks++;
      seen.most = Math.max(seen.most, living.size);
      for (const name of living) seen.names.add(name);
      await delay(2);
    }
  })();
  looking.catch(() => {});
  return {
    async stop() {
      isOver = true;
      await looking;
      return seen;
    },
  };
}

/** Sessions that add to the sums or write into the ledger that they did. */
const rollingUp = `select application_name as name from pg_stat_activity
  where datname = current_database() and state = 'active' and pid <> pg_backend_pid() and (query like 'insert into usage_daily%'
    or query like 'insert into usage_totals%' or query like 'update usage_batches set rolled_up_at%')`;

// Class of the locks about usage; whoever rolls up waits with 3 for those who read the ledger and the sums together, right before it
// commits. Fixed for ever (domains/usage/usage-ledger-queries.ts).
const usageLock = 1_835_625_067;
const aboutToCommit = `select application_name as name, backend_xid::text as xid from pg_stat_activity
  where wait_event = 'advisory' and query like '%pg_advisory_xact_lock(${usageLock}, 3)%'`;

interface Waiting {
  readonly name: string;
  readonly xid: string;
}

const rollupsAboutToCommit = (): Promise<Waiting[]> => db.query<Waiting>({ text: aboutToCommit, values: [] });

/** Kills the server that rolls up, in the middle of its transaction. @returns the highest batch that it left open */
async function killInRollup(traffic: UsageTraffic): Promise<{ killed: ServerOnNode; lastOpen: bigint }> {
  return await db.session(async (reader) => {
    await reader.run(dynamic(sql`select pg_advisory_lock_shared(${usageLock}, 3)::text as got`));
    let waiting: Waiting[] = [];
    while (waiting.length === 0) waiting = await rollupsAboutToCommit();
    // Writers go on, and no other server begins a rollup meanwhile.
    await untilMore(traffic, 10);
    expect(await rollupsAboutToCommit()).toEqual(waiting);
    expect(waiting).toHaveLength(1);
    const [{ name, xid } = { name: '', xid: '' }] = waiting;
    const [open] = await reader.run(
      dynamic<{ last: bigint }>(sql`select max(batch_id) as last from usage_batches where rolled_up_at is null`),
    );
    const killed = serverNamed(name);
    await served.kill(killed);
    await reader.run(dynamic(sql`select pg_advisory_unlock_shared(${usageLock}, 3)`));
    expect(await outcomeOf(db, xid)).toBe('aborted');
    return { killed, lastOpen: open?.last ?? 0n };
  });
}

async function untilRolledUp(last: bigint | null): Promise<void> {
  for (;;) {
    const [open] = await db.query(
      dynamic<{ n: bigint }>(sql`select count(*) as n from usage_batches
        where rolled_up_at is null and (${last}::bigint is null or batch_id <= ${last}::bigint)`),
    );
    if (open?.n === 0n) return;
    await delay(20);
  }
}

test('servers of different nodes roll up one at a time; when one is killed at it another takes over, every record counts once, and no sum falls', async () => {
  const { apiKey } = served;
  const traffic = startUsageTraffic({ url: () => served.url(), apiKey, bulkLines: 3_000 });
  const [from, to] = [0, 6].map((days) => formatDay((dayOf(traffic.firstMs as Instant) + days) as Day));
  const readers = watchSums({
    ...{ url: () => served.url(), apiKey, subscriptions: trafficSubscriptions },
    ...{ from: from ?? '', to: to ?? '' },
  });
  const rollups = watchSessions(rollingUp);
  const killedAt: string[] = [];
  const takenOverMs: number[] = [];
  for (let kill = 0; kill < kills; kill++) {
    await untilMore(traffic, requestsBetween);
    const { killed, lastOpen } = await killInRollup(traffic);
    const freeAtMs = performance.now();
    killedAt.push(killed.node);
    await untilRolledUp(lastOpen);
    takenOverMs.push(Math.round(performance.now() - freeAtMs));
    await served.start(killed);
  }
  await untilMore(traffic, requestsBetween);
  await traffic.stop();
  await untilRolledUp(null);
  const [sums, { looks, most, names }] = [await readers.stop(), await rollups.stop()];
  const { accepted, ...counts } = traffic.counts;
  const compared = await compareUsage(db, traffic);
  console.log(
    `${kills} kills of the server that rolled up, of three at three nodes: ${JSON.stringify({
      ...{ killedAt, takenOverMs, processesThatRolledUp: names.size, looks, mostAtOnce: most },
      ...{ ...compared, accepted, ...counts, readAnswers: sums.answers, readsMissed: sums.missed, sumsRead: sums.sums },
      fell: sums.fell.length,
    })}`,
  );
  expect(compared).toEqual({
    ...{ sent: traffic.records(), lost: 0, doubled: 0, wrongRawSums: 0, wrongDays: 0, wrongTotals: 0 },
  });
  expect(accepted).toBe(traffic.records());
  expect(most).toBe(1);
  expect(looks).toBeGreaterThan(kills);
  expect(names.size).toBeGreaterThan(1);
  expect(sums.fell.slice(0, 5)).toEqual([]);
  expect(sums.answers).toBeGreaterThan(kills * 5);
});

interface JobDocument {
  readonly run_id: string;
  readonly state: string;
  readonly owner: { readonly pid: number } | null;
  readonly fence: number;
  readonly done_rows: number;
  readonly counts: Readonly<Record<string, number>>;
  readonly error: string | null;
}

async function callApi(path: string, document?: object, method = 'POST'): Promise<JobDocument> {
  const answer = await fetch(`${served.url()}/api/v1/${path}`, {
    headers: { authorization: `Bearer ${served.apiKey}`, 'content-type': 'application/json' },
    ...(document === undefined ? {} : { method, body: JSON.stringify(document) }),
  });
  const text = await answer.text();
  if (!answer.ok) throw new Error(`${path} was answered with ${answer.status}: ${text}`);
  return JSON.parse(text) as JobDocument;
}

/** Transactions of batches at this moment (jobs/job-lock-queries.ts). */
const atBatches = `select distinct a.application_name as name from pg_locks l join pg_stat_activity a on a.pid = l.pid
  where l.locktype = 'advisory' and l.classid = 1835625066 and l.granted`;

const generated = { count: 8_000 * kills, seed: 7, subscriptions: 200, days: 3 };

/** Sums by subscription and type: `records used cents`. */
function sumsOfGenerated(lastDay: Day): Map<string, string> {
  const { count, ...options } = generated;
  const sums = new Map<string, [number, number, number]>();
  const lines = createUsageMaker({ ...options, lastDay })(1, count)
    .toString()
    .trim()
    .split('\n')
    .slice(1);
  for (const line of lines) {
    const [, subscription, type, , used, price = ''] = line.split(',');
    const key = `${subscription} ${type}`;
    const sum = sums.get(key) ?? [0, 0, 0];
    sums.set(key, [sum[0] + 1, sum[1] + Number(used), sum[2] + Number(price.replace('.', ''))]);
  }
  return new Map([...sums].map(([key, sum]) => [key, sum.join(' ')]));
}

test('a run is worked at by one server; when that is killed one at another node goes on, and the result is what one alone would have made', async () => {
  const yesterday = (dayOf(Date.now() as Instant) - 1) as Day;
  const { run_id: runId } = await callApi('jobs', {
    kind: 'usage.generate',
    parameters: { ...generated, to: formatDay(yesterday) },
    // So that it lasts until the last kill, and no longer.
    throttle: { rows_per_second: 500 },
  });
  const batches = watchSessions(atBatches);
  const killedAt: string[] = [];
  const takenOverMs: number[] = [];
  let run = await callApi(`jobs/${runId}`);
  const until = async (isSo: () => boolean): Promise<void> => {
    while (!isSo()) {
      await delay(20);
      run = await callApi(`jobs/${runId}`);
      if (run.error !== null) throw new Error(run.error);
    }
  };
  for (let kill = 1; kill <= kills; kill++) {
    await until(() => run.state === 'done' || (run.owner !== null && run.done_rows >= 2_000 * kill));
    expect(run.state).toBe('running');
    const { fence } = run;
    const owner = served.servers.find(({ process }) => process.pid === run.owner?.pid);
    if (owner === undefined) throw new Error(`nobody has the process id ${run.owner?.pid}`);
    await served.kill(owner);
    const killedAtMs = performance.now();
    killedAt.push(owner.node);
    await until(() => run.fence > fence);
    takenOverMs.push(Math.round(performance.now() - killedAtMs));
    await served.start(owner);
  }
  await callApi(`jobs/${runId}`, { throttle: { rows_per_second: null } }, 'PATCH');
  await until(() => run.state === 'done');
  const { looks, most, names } = await batches.stop();
  await untilRolledUp(null);
  const stored = await db.query(
    dynamic<{ key: string; sums: string }>(sql`select subscription_id || ' ' || usage_type as key,
      records || ' ' || total_used || ' ' || (total_price * 100)::bigint as sums from usage_totals where subscription_id like 'SUB%'`),
  );
  const expected = sumsOfGenerated(yesterday);
  const wrong = stored.filter(({ key, sums }) => expected.get(key) !== sums).length;
  console.log(
    `${kills} kills of the server that worked at a run, of three at three nodes: ${JSON.stringify({
      ...{ killedAt, takenOverMs, processesAtWork: names.size, looks, mostAtOnce: most, fence: run.fence },
      ...{ doneRows: run.done_rows, counts: run.counts, sums: stored.length, expected: expected.size, wrong },
    })}`,
  );
  expect({ sums: stored.length, wrong }).toEqual({ sums: expected.size, wrong: 0 });
  expect(run).toMatchObject({ state: 'done', done_rows: generated.count, fence: kills + 1 });
  expect(run.counts).toMatchObject({ records_created: generated.count });
  expect(most).toBe(1);
  expect(names.size).toBe(kills + 1);
});

test.each(['coordinator', 'worker'] as const)('direct writes are refused at a %s, with the reason', async (role) => {
  const node = served.cluster.nodes.find((candidate) => candidate.role === role);
  const env = { DATABASE_URL: node?.url ?? '' };
  const { code, stderr } = await runMilliard({ args: ['usage', 'direct-writes', 'enable'], env });
  expect(code).toBe(1);
  expect(stderr).toContain('a trigger of a distributed table runs on the worker that holds the shard');
  expect(stderr).toContain('POST /api/v1/usage/records/bulk');
});
