import { fileURLToPath } from 'node:url';
import { runCommand, runScript } from '../harness/command.ts';
import { builtMain, startServer } from '../harness/processes.ts';
import { against, alone, type Figures } from '../report.ts';
import { lagSeconds, untilRolledUp, walBytes, withClient } from './database.ts';
import { hotKeys, type Keys, type UsageScale, uniformKeys } from './scale.ts';
import type { SendRequest, SendResult } from './sender.ts';

const sender = fileURLToPath(new URL('./sender.ts', import.meta.url));
// Class of the advisory lock of the rollup (domains/usage/usage-rollup-queries.ts).
const rollupLock = 1_835_625_067;

export interface IngestPlace {
  readonly dataDir: string;
  /** The database of the server, and another one on the same PostgreSQL for COPY. */
  readonly url: string;
  readonly copyUrl: string;
  readonly scale: UsageScale;
  readonly log: (line: string) => void;
}

export interface IngestResult {
  readonly figures: Figures;
  /** Records a second with hot keys, and bytes of WAL each. */
  readonly hotRate: number;
  readonly walPerRecord: number;
}

interface Measured {
  readonly perSecond: number;
  readonly copiedPerSecond: number;
  readonly lag: number;
  readonly walPerRecord: number;
}

let seed = 100;

async function send(asked: Omit<SendRequest, 'seed'>): Promise<SendResult> {
  const request: SendRequest = { ...asked, seed: seed++ };
  const { lines } = await runScript(sender, [JSON.stringify(request)]);
  return JSON.parse(lines.at(-1)?.text ?? '') as SendResult;
}

/** Records over HTTP with the rollup beside, and COPY of such records before and after. */
async function measure(place: IngestPlace, server: string, keys: Keys): Promise<Measured> {
  const { scale, url, copyUrl } = place;
  const { poolRows } = scale;
  const copy = () => send({ url: copyUrl, way: 'copy', keys, seconds: scale.copySeconds, poolRows });
  const before = await copy();
  const walBefore = await walBytes(url);
  const { sent, lag } = await watchingLag(url, () =>
    send({ url: server, way: 'http', keys, seconds: scale.ingestSeconds, poolRows }),
  );
  await untilRolledUp(url);
  const walPerRecord = ((await walBytes(url)) - walBefore) / sent.rows;
  const after = await copy();
  const copied = (before.rows + after.rows) / (before.seconds + after.seconds);
  return { perSecond: sent.rows / sent.seconds, copiedPerSecond: copied, lag, walPerRecord };
}

const lookMs = 200;

/** @returns the longest that a batch waited, as far as looking every 200 ms tells */
async function watchingLag(
  url: string,
  work: () => Promise<SendResult>,
): Promise<{ readonly sent: SendResult; readonly lag: number }> {
  return withClient(url, async (client) => {
    let lag = 0;
    let ended = false;
    const working = work().finally(() => {
      ended = true;
    });
    // Looked at below; a fault before that is no unhandled one.
    working.catch(() => {});
    while (!ended) {
      lag = Math.max(lag, await lagSeconds(client));
      await new Promise((resolve) => setTimeout(resolve, lookMs));
    }
    return { sent: await working, lag };
  });
}

/** Nothing is rolled up while this session holds the lock of the rollup. */
const withoutRollup = <T>(url: string, work: () => Promise<T>): Promise<T> =>
  withClient(url, async (client) => {
    await client.query(`select pg_advisory_lock(${rollupLock}, 0)`);
    return work();
  });

/** With the triggers for those who write past the API, which look at what the API writes as well. */
async function withDirectWrites<T>(dataDir: string, work: () => Promise<T>): Promise<T> {
  await runCommand(['usage', 'direct-writes', 'enable', '--data-dir', dataDir]);
  const result = await work();
  await runCommand(['usage', 'direct-writes', 'disable', '--data-dir', dataDir]);
  return result;
}

export async function ingestFigures(place: IngestPlace): Promise<IngestResult> {
  const { dataDir, url, copyUrl, scale, log } = place;
  await using server = await startServer(dataDir);
  const tell = (name: string, { perSecond, copiedPerSecond, lag }: Measured): void =>
    log(
      `  ${name}: ${perSecond.toFixed(0)} records/s, COPY ${copiedPerSecond.toFixed(0)}/s, lag at most ${lag.toFixed(1)} s`,
    );
  const hot = await measure(place, server.url, hotKeys);
  tell('hot keys', hot);
  const uniform = await measure(place, server.url, uniformKeys);
  tell('uniform keys', uniform);
  const seconds = scale.ingestSeconds;
  const { poolRows, copySeconds } = scale;
  const alike = { keys: hotKeys, poolRows } as const;
  const copied = await send({ ...alike, url: copyUrl, way: 'copy', seconds: copySeconds });
  const sent = await withoutRollup(url, () => send({ ...alike, url: server.url, way: 'http', seconds }));
  await untilRolledUp(url);
  const direct = await withDirectWrites(dataDir, () =>
    send({ ...alike, url: server.url, way: 'http', seconds: copySeconds * 2 }),
  );
  await untilRolledUp(url);
  const unit = `records/s over HTTP for ${seconds} s (baseline: COPY of such rows in one session)`;
  return {
    hotRate: hot.perSecond,
    walPerRecord: hot.walPerRecord,
    figures: {
      ingest_hot: against(hot.perSecond, hot.copiedPerSecond, { unit, goal: '>= 100,000; ratio >= 0.35' }),
      ingest_uniform: against(uniform.perSecond, uniform.copiedPerSecond, { unit, goal: '>= 50,000; ratio >= 0.35' }),
      ingest_no_rollup: against(sent.rows / sent.seconds, copied.rows / copied.seconds, {
        unit,
        goal: 'ratio >= 0.5',
      }),
      ingest_direct_writes: against(direct.rows / direct.seconds, hot.perSecond, {
        unit: 'records/s over HTTP while direct writes are enabled (baseline: ingest_hot)',
      }),
      rollup_lag_s: alone(Math.max(hot.lag, uniform.lag), {
        unit: `s at most (hot ${hot.lag.toFixed(1)}, uniform ${uniform.lag.toFixed(1)})`,
        goal: '<= 5',
      }),
      wal_uniform: alone(uniform.walPerRecord, { unit: 'bytes a record, uniform keys, with the rollup' }),
    },
  };
}

/** @throws Error when the sums are not what the raw rows say */
export async function verifyUsage(dataDir: string, url: string): Promise<void> {
  const { lines } = await runCommand(['verify', '--help']);
  const isBuilt = lines.some(({ text }) => /^\s+usage\b/.test(text));
  if (isBuilt) {
    // Ends with another code, and so with an error here, when there is a difference.
    await runCommand(['verify', 'usage', '--data-dir', dataDir, '--json']);
    return;
  }
  const { rows } = await withClient(url, (client) =>
    client.query<{ differences: string }>(`select count(*) as differences from
      (select subscription_id, usage_type, day, count(*) as n, sum(used) as used, sum(price) as price from usage_records group by 1, 2, 3) r
      full join usage_daily d using (subscription_id, usage_type, day)
      where (r.n, r.used, r.price) is distinct from (d.records, d.total_used, d.total_price)`),
  );
  if (Number(rows[0]?.differences) !== 0)
    throw new Error(`${rows[0]?.differences} sums differ from the raw rows (${builtMain} has no verify usage)`);
}
