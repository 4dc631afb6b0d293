// Sends usage for some seconds, in a process of its own: over HTTP, or by COPY of the very rows that the server would make of it. The
// argument is a SendRequest, the answer a line of JSON, a SendResult.
import { Agent } from 'node:http';
import type { Day } from '../../server/src/core/days.ts';
import { systemClock } from '../../server/src/core/time.ts';
import { createBatchIds } from '../../server/src/domains/usage/batch-id.ts';
import { createBucketCache } from '../../server/src/domains/usage/bucket-cache.ts';
import { createUsageParts } from '../../server/src/domains/usage/usage-parts.ts';
import { copyRecords } from '../../server/src/domains/usage/usage-records-queries.ts';
import { createDatabase } from '../../server/src/storage/database.ts';
import { upload } from '../harness/upload.ts';
import { makeUploads, type UsageUpload } from './records.ts';
import type { Keys } from './scale.ts';

export interface SendRequest {
  /** The server, or the database for COPY. */
  readonly url: string;
  readonly way: 'http' | 'copy';
  readonly keys: Keys;
  readonly seconds: number;
  readonly poolRows: number;
  /** Different ones make different records. */
  readonly seed: number;
}

export interface SendResult {
  readonly rows: number;
  readonly seconds: number;
}

const rowsEach = 100_000;
const connections = 2;

async function sendByHttp({ url, seconds }: SendRequest, uploads: readonly UsageUpload[]): Promise<SendResult> {
  const agent = new Agent({ keepAlive: true });
  const startedMs = performance.now();
  const untilMs = startedMs + seconds * 1_000;
  let rows = 0;
  const connection = async (at: number): Promise<void> => {
    // Each connection has its own uploads: none is numbered anew while it is on its way.
    const own = uploads.filter((_, i) => i % connections === at);
    for (let n = 0; performance.now() < untilMs; n++) {
      const next = own[n % own.length];
      if (next === undefined) throw new Error('there is nothing to send');
      next.number(Math.floor(n / own.length));
      await post(agent, url, next);
      rows += next.rows;
    }
  };
  await Promise.all(Array.from({ length: connections }, (_, at) => connection(at)));
  agent.destroy();
  return { rows, seconds: (performance.now() - startedMs) / 1_000 };
}

/** @throws Error unless every record was accepted */
async function post(agent: Agent, url: string, { bytes, rows }: UsageUpload): Promise<void> {
  const { summary } = await upload({ url: `${url}/api/v1/usage/records/bulk`, type: 'text/csv', body: [bytes], agent });
  if (summary['accepted'] !== rows)
    throw new Error(`${rows} records were not all accepted: ${JSON.stringify(summary)}`);
}

/** The same rows, encoded and sorted as the server does, a part of 20,000 a transaction; only the time of COPY and COMMIT counts. */
async function sendByCopy({ url, seconds }: SendRequest, uploads: readonly UsageUpload[]): Promise<SendResult> {
  const options = { url, applicationName: 'bench', poolSize: 1, readClients: 1 };
  const db = createDatabase({ ...options, statementTimeoutMs: 0, connectTimeoutMs: 5_000 });
  const newBatchId = createBatchIds();
  const buckets = createBucketCache();
  let rows = 0;
  let ms = 0;
  for (let n = 0; ms < seconds * 1_000; n++) {
    const next = uploads[n % uploads.length];
    if (next === undefined) throw new Error('there is nothing to copy');
    next.number(Math.floor(n / uploads.length));
    const parts = createUsageParts({
      format: 'csv',
      newBatchId: () => newBatchId(systemClock.now()),
      rules: () => ({ now: systemClock.now(), rawFrom: 0 as Day, types: ['data', 'voice'] }),
      buckets,
    });
    for (const some of [() => parts.push(next.bytes), () => parts.end()]) {
      for await (const part of some()) {
        const bytes = part.bytes();
        const startedMs = performance.now();
        await db.transaction((tx) => tx.copyIn(copyRecords, bytes));
        ms += performance.now() - startedMs;
        rows += part.rows;
        part.release();
      }
    }
  }
  await db.close();
  return { rows, seconds: ms / 1_000 };
}

const asked = JSON.parse(process.argv[2] ?? '') as SendRequest;
const uploads = makeUploads({ keys: asked.keys, rows: asked.poolRows, rowsEach, seed: asked.seed, format: 'csv' });
const send = asked.way === 'http' ? sendByHttp : sendByCopy;
console.log(JSON.stringify(await send(asked, uploads)));
