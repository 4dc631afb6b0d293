import type { Instant } from '../../core/time.ts';
import type { BatchId } from './usage.ts';

const epochMs = Date.UTC(2020, 0, 1);
const randomBits = 22n;
// Ids of one millisecond lie apart by luck: those of two processes whose clocks stand still do not run into each other for long.
const stepBits = 16;

/** Makes batch ids that sort by time: each is above those made before in this process. */
export function createBatchIds(random: () => number = Math.random): (now: Instant) => BatchId {
  let last = 0n;
  return (now) => {
    const made = (BigInt(Math.max(0, now - epochMs)) << randomBits) | BigInt(Math.floor(random() * 2 ** 22));
    last = made > last ? made : last + 1n + BigInt(Math.floor(random() * 2 ** stepBits));
    return last as BatchId;
  };
}

/** The text as a batch id, or null. */
export function parseBatchId(text: string): BatchId | null {
  if (!/^\d{1,19}$/.test(text)) return null;
  const id = BigInt(text);
  return id < 2n ** 63n ? (id as BatchId) : null;
}
