import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type DrawnRequest, type LoadResult, load } from '../harness/load.ts';
import { type Running, startProgram, startServer } from '../harness/processes.ts';
import { inTurns } from '../harness/turns.ts';
import { against, alone, type Figures, median } from '../report.ts';
import { drawPaths } from './population.ts';
import type { ShipmentsScale } from './scale.ts';

const memoryServer = fileURLToPath(new URL('./memory-server.ts', import.meta.url));
const connections = 64;
const rounds = 5;

/** Look-ups by Zipf's law from 64 connections: from the cache, from the database, and of what the client has already. */
export async function lookUpFigures(dataDir: string, scale: ShipmentsScale, log: (line: string) => void) {
  const paths = drawPaths(scale);
  const full = paths.map((path) => ({ path }));
  await using cached = await startServer(dataDir);
  const documents = await fetchAll(cached.url, [...new Set(paths)]);
  const known = paths.map((path) => ({ path, headers: { 'if-none-match': documents.get(path)?.etag ?? '' } }));
  log(
    `${documents.size.toLocaleString('en')} different shipments are asked for in ${paths.length.toLocaleString('en')} look-ups`,
  );

  await using uncachedServer = await startServer(dataDir, { MILLIARD_CACHE: 'off' });
  const rates = await withMemoryServer(documents, (memory) =>
    inTurns(
      {
        ceiling: (seconds) => measure(memory, full, seconds),
        cached: (seconds) => measure(cached, full, seconds),
        uncached: (seconds) => measure(uncachedServer, full, seconds),
        ceilingKnown: (seconds) => measureKnown(memory, known, seconds),
        cachedKnown: (seconds) => measureKnown(cached, known, seconds),
      },
      { rounds, seconds: scale.loadSeconds / rounds, warmUpSeconds: 1 },
    ),
  );
  const perSecond = (of: keyof typeof rates): number => median(rates[of].map((rate) => rate.perSecond));
  log(
    `  from memory: ${perSecond('ceiling').toFixed(0)}/s, 304 ${perSecond('ceilingKnown').toFixed(0)}/s (medians of ${rounds} rounds)`,
  );
  const unit = `requests/s, median of ${rounds} rounds`;
  const figures: Figures = {
    lookup_cached: against(perSecond('cached'), perSecond('ceiling'), {
      unit,
      goal: '>= 0.6 of Fastify, >= 10,000/s',
    }),
    lookup_cached_p99: alone(median(rates.cached.map(({ p99Ms }) => p99Ms)), {
      unit: `ms at ${connections} connections`,
      goal: '<= 20 ms',
    }),
    lookup_uncached: against(perSecond('uncached'), perSecond('ceiling'), { unit, goal: '>= 0.35 of Fastify' }),
    not_modified: against(perSecond('cachedKnown'), perSecond('ceilingKnown'), { unit, goal: '>= 0.7 of Fastify' }),
  };
  return { figures, paths };
}

const measure = ({ url }: Running, drawn: readonly DrawnRequest[], seconds: number): Promise<LoadResult> =>
  load({ url, connections, seconds, drawn });
const measureKnown = ({ url }: Running, drawn: readonly DrawnRequest[], seconds: number): Promise<LoadResult> =>
  load({ url, connections, seconds, drawn, status: 304 });

interface Held {
  readonly etag: string;
  readonly document: object;
}

const fetchedAtOnce = 32;

async function fetchAll(url: string, paths: readonly string[]): Promise<Map<string, Held>> {
  const documents = new Map<string, Held>();
  for (let at = 0; at < paths.length; at += fetchedAtOnce) {
    const some = paths.slice(at, at + fetchedAtOnce);
    const answers = await Promise.all(some.map((path) => fetchOne(url + path)));
    for (const [i, path] of some.entries()) documents.set(path, answers[i] as Held);
  }
  return documents;
}

async function fetchOne(url: string): Promise<Held> {
  const answer = await fetch(url);
  if (!answer.ok) throw new Error(`${url}: ${answer.status}`);
  return { etag: answer.headers.get('etag') ?? '', document: (await answer.json()) as object };
}

async function withMemoryServer<T>(documents: Map<string, Held>, work: (server: Running) => Promise<T>): Promise<T> {
  const dir = await mkdtemp(join(tmpdir(), 'milliard-bench-'));
  try {
    const file = join(dir, 'documents.json');
    await writeFile(file, JSON.stringify(Object.fromEntries(documents)));
    await using memory = await startProgram(memoryServer, [file]);
    return await work(memory);
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}
