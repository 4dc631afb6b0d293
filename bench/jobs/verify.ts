import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Database } from '../../server/src/storage/database.ts';
import { dynamic, sql } from '../../server/src/storage/sql.ts';
import { load } from '../harness/load.ts';
import { paced, percentile } from '../harness/paced.ts';
import { startProgram, startServer } from '../harness/processes.ts';
import { against, type Figures } from '../report.ts';
import { measureJob } from './runs.ts';
import type { JobsScale } from './scale.ts';

const path = '/api/v1/tickets/verify';
const memoryServer = fileURLToPath(new URL('./memory-verify.ts', import.meta.url));
const connections = 16;
// A busy door. At a rate that both can answer, the wait of a request is compared and not the share of the processors.
const doorRatePerSecond = 500;

/** Tokens that open a ticket now, from all over the tickets. */
export async function someTokens(db: Database): Promise<string[]> {
  const rows = await db.query(
    dynamic<{ token: string }>(
      sql`select distinct on (bucket, ticket_id) token from ticket_tokens where bucket % 4 = 1 order by bucket, ticket_id, generation desc limit 2000`,
    ),
  );
  return rows.map(({ token }) => token);
}

export const verifications = (tokens: readonly string[]) => ({
  path,
  bodies: tokens.map((token) => JSON.stringify({ token })),
});

/** Verifications a second against the same verdicts from memory. */
export async function verifyFigures(db: Database, dataDir: string, scale: JobsScale): Promise<Figures> {
  const tokens = await someTokens(db);
  const seconds = scale.loadSeconds;
  const dir = await mkdtemp(join(tmpdir(), 'milliard-bench-'));
  try {
    await using server = await startServer(dataDir);
    const verdicts: Record<string, object> = {};
    for (const token of tokens) {
      const answer = await fetch(server.url + path, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ token }),
      });
      const verdict = (await answer.json()) as { readonly result: string };
      if (verdict.result !== 'valid') throw new Error(`a current token is ${verdict.result}`);
      verdicts[token] = verdict;
    }
    const file = join(dir, 'verdicts.json');
    await writeFile(file, JSON.stringify(verdicts));
    await using memory = await startProgram(memoryServer, [file]);
    const repeatable = verifications(tokens);
    const ceiling = await load({ url: memory.url, connections, seconds, repeatable });
    const measured = await load({ url: server.url, connections, seconds, repeatable });
    return {
      verify: against(measured.perSecond, ceiling.perSecond, {
        unit: 'requests/s',
        goal: '>= 0.4 of Fastify from memory',
      }),
    };
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

/** The slowest hundredth of verifications while a rotation runs at full speed, against the same without one. */
export async function verifyDuringRotation(db: Database, dataDir: string, scale: JobsScale): Promise<Figures> {
  const { bodies } = verifications(await someTokens(db));
  await using server = await startServer(dataDir);
  const request = (n: number) => ({ path, body: bodies[n % bodies.length] ?? '' });
  const during = (seconds: number) => paced({ url: server.url, request, perSecond: doorRatePerSecond, seconds });
  await during(1);
  const usual = await during(scale.loadSeconds);
  const rotation = measureJob(['tickets', 'rotate', '--reason', 'bench', '--yes', '--data-dir', dataDir]);
  // Waited for below, whatever becomes of the load.
  rotation.catch(() => {});
  const rotating = await during(scale.loadSeconds);
  const { seconds } = await rotation;
  return {
    verify_during_rotation: against(percentile(rotating, 0.99), percentile(usual, 0.99), {
      unit: `ms p99 at ${doorRatePerSecond} requests/s over ${scale.loadSeconds} s, of which a rotation took ${seconds.toFixed(1)} s`,
      goal: '<= 2 times the usual',
    }),
  };
}
