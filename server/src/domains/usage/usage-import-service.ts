import type { Clock } from '../../core/time.ts';
import type { Database } from '../../storage/database.ts';
import type { createBatchIds } from './batch-id.ts';
import type { BucketCache } from './bucket-cache.ts';
import { type PartOutcome, writePart } from './usage-part-service.ts';
import { createUsageParts, type UsageFormat, type UsagePart } from './usage-parts.ts';
import type { IntakeRules } from './usage-record.ts';

export interface UsageImportDeps {
  readonly db: Database;
  readonly clock: Clock;
  readonly newBatchId: ReturnType<typeof createBatchIds>;
  readonly buckets: BucketCache;
  readonly rules: () => IntakeRules;
}

export interface UsageImportOptions {
  readonly format: UsageFormat;
  readonly actor: string;
  /** The same upload sent again under its key is recognised part by part. */
  readonly producerKey: string | null;
  /** Called before each part is written: throws when the upload may not go on. */
  readonly confirm?: () => Promise<void>;
  readonly partLines?: number;
}

interface Writing {
  readonly part: UsagePart;
  readonly outcome: Promise<PartOutcome>;
}

/**
 * Reads an upload of any length and writes it part by part, each in a transaction of its own and in their order (of equal records
 * the first one wins). While one is written the next one is read, never more.
 */
export async function* importUsage(
  deps: UsageImportDeps,
  source: AsyncIterable<Buffer>,
  options: UsageImportOptions,
): AsyncGenerator<PartOutcome> {
  const parts = createUsageParts({
    format: options.format,
    newBatchId: () => deps.newBatchId(deps.clock.now()),
    rules: deps.rules,
    buckets: deps.buckets,
    ...(options.partLines === undefined ? {} : { partLines: options.partLines }),
  });
  let writing: Writing | null = null;
  // Where some records were there already, more will be.
  let stageFirst = false;
  const finish = async ({ part, outcome }: Writing): Promise<PartOutcome> => {
    const done = await outcome;
    part.release();
    stageFirst = done.duplicates > 0;
    return done;
  };
  const begin = async (part: UsagePart): Promise<Writing> => {
    await options.confirm?.();
    const { actor, producerKey } = options;
    const toWrite = { part, actor, producerKey, now: deps.clock.now(), stageFirst };
    const outcome = writePart(deps.db, toWrite, () => deps.newBatchId(deps.clock.now()));
    outcome.catch(() => {});
    return { part, outcome };
  };
  try {
    for await (const part of readParts(parts, source)) {
      if (part === 'waiting') {
        // The sender takes its time: what is stored meanwhile is told now.
        if (writing !== null) yield await finish(writing);
        writing = null;
        continue;
      }
      if (writing !== null) yield await finish(writing);
      writing = await begin(part);
    }
    if (writing !== null) yield await finish(writing);
    writing = null;
  } finally {
    await writing?.outcome.catch(() => {});
  }
}

const patienceMs = 200;

/** The parts of an upload; `waiting` when the sender pauses. */
async function* readParts(
  parts: ReturnType<typeof createUsageParts>,
  source: AsyncIterable<Buffer>,
): AsyncGenerator<UsagePart | 'waiting'> {
  const chunks = source[Symbol.asyncIterator]();
  let told = false;
  try {
    for (;;) {
      const coming = chunks.next();
      if (!told && (await isSlow(coming))) {
        told = true;
        yield 'waiting';
      }
      const { done, value } = await coming;
      if (done === true) break;
      told = false;
      yield* parts.push(value);
    }
    yield* parts.end();
  } finally {
    await chunks.return?.();
  }
}

async function isSlow(coming: Promise<unknown>): Promise<boolean> {
  coming.catch(() => {});
  let timer: NodeJS.Timeout | undefined;
  const slow = new Promise<boolean>((resolve) => {
    timer = setTimeout(() => resolve(true), patienceMs);
  });
  try {
    return await Promise.race([coming.then(() => false), slow]);
  } finally {
    clearTimeout(timer);
  }
}
