import { setTimeout as delay } from 'node:timers/promises';
import type { Database } from '../../storage/database.ts';
import { toStorageError } from '../../storage/faults.ts';
import { isTransient } from '../../storage/retry.ts';
import {
  createPartition,
  dropPartitionScript,
  newestInForce,
  newestToKeep,
  tokenPartitions,
} from './ticket-purge-queries.ts';
import { stretchLength, stretchOf } from './ticket-rotation.ts';

/** A token is looked for in each partition: so many at most, the one that stands ready for the next rotation included. */
const maxPartitions = 4;

// A request that queues behind the drop waits so long at most.
const lockTimeoutMs = 50;
const attempts = 20;
const pauseMs = 100;

/**
 * Makes the partition that the next rotation of all tickets will need, so that its cut-off waits for no DDL, and drops the oldest
 * ones beyond four: their tokens answer `unknown` instead of `token_rotated` from then on. What cannot be dropped because a long
 * transaction reads it (a backup) stays until the next purge.
 */
export async function makeRoom(db: Database, generation: number): Promise<void> {
  const next = stretchOf(generation) + stretchLength;
  const partitions = (await db.query(tokenPartitions())).map(({ stretch }) => stretch);
  if (!partitions.includes(next)) {
    await db.transaction(async (tx) => {
      for (const statement of createPartition(next)) await tx.run(statement);
    });
    partitions.push(next);
  }
  const [inForce] = await db.query(newestInForce());
  const refused = partitions.filter((stretch) => stretch < stretchOf(inForce?.generation ?? 0)).sort((a, b) => a - b);
  for (const stretch of refused.slice(0, Math.max(0, partitions.length - maxPartitions)))
    await dropPartition(db, stretch);
}

export interface DroppedPartitions {
  readonly dropped: number;
  /** Some are read by a long transaction. */
  readonly held: number;
  /** What this generation and those before it refused is gone when nothing is held; null = nothing was due. */
  readonly upTo: number | null;
}

/** Drops the partitions whose tokens have all been refused for as long as they were to be kept. */
export async function dropDuePartitions(db: Database): Promise<DroppedPartitions> {
  const [due] = await db.query(newestToKeep());
  if (due === undefined) return { dropped: 0, held: 0, upTo: null };
  const partitions = (await db.query(tokenPartitions())).filter(({ stretch }) => stretch < stretchOf(due.generation));
  let dropped = 0;
  for (const { stretch } of partitions) if (await dropPartition(db, stretch)) dropped++;
  return { dropped, held: partitions.length - dropped, upTo: due.generation };
}

/** @returns false when it is read by somebody who does not end */
function dropPartition(db: Database, stretch: number): Promise<boolean> {
  return db.session(async (session) => {
    for (let attempt = 1; ; attempt++) {
      try {
        await session.script(dropPartitionScript(stretch, lockTimeoutMs));
        return true;
      } catch (error) {
        await session.script('rollback');
        if (!isTransient(toStorageError(error))) throw error;
        if (attempt === attempts) return false;
        await delay(pauseMs);
      }
    }
  });
}
