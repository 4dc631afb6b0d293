import { type Day, dayOf } from '../../core/days.ts';
import type { Clock } from '../../core/time.ts';
import type { Transaction } from '../../storage/transaction.ts';
import type { createBatchIds } from './batch-id.ts';
import type { BucketCache } from './bucket-cache.ts';
import type { RecordRejection } from './usage.ts';
import { maxOpenDays } from './usage-horizon-service.ts';
import type { Horizon } from './usage-ledger-queries.ts';
import { writePartIn } from './usage-part-service.ts';
import { createUsageParts, type UsageFormat, type UsagePart, type UsageParts } from './usage-parts.ts';
import type { IntakeRules } from './usage-record.ts';
import type { RowMemory } from './usage-rows.ts';

/** What became of records that were written together. */
export interface WrittenRecords {
  readonly accepted: number;
  readonly duplicates: number;
  /** By their lines in the bytes, counted from 1, header included. */
  readonly rejected: readonly RecordRejection[];
}

/** For long work: writes raw records in its transactions, by the rules of every other intake. */
export interface UsageWriter {
  /**
   * Reads and judges at most 32,000 whole lines (CSV: with a header). Nothing is written, so it may be done before a transaction.
   * @throws InvalidInputError for a header without the columns
   */
  read(bytes: Buffer, format: UsageFormat): ReadRecords;
  /** Writes them as one batch of the ledger, once: after a rollback they are read again. */
  writeIn(tx: Transaction, records: ReadRecords, actor: string): Promise<WrittenRecords>;
  /** Waits while the rollup of this process is too far behind. */
  giveWay(): Promise<void>;
  /**
   * Takes days from `from` on, as far as they can be taken. Not within a transaction that writes records.
   * @returns the first day that is taken now
   */
  openDays(from: Day): Promise<Day>;
}

export interface ReadRecords {
  readonly bytes: Buffer;
  readonly format: UsageFormat;
  readonly parts: readonly UsagePart[];
  readonly rules: IntakeRules;
}

export interface UsageWriterDeps {
  readonly clock: Clock;
  readonly newBatchId: ReturnType<typeof createBatchIds>;
  readonly buckets: BucketCache;
  readonly rules: () => IntakeRules;
  readonly horizon: () => Promise<Horizon>;
  readonly openDays: (from: Day) => Promise<Horizon>;
  readonly giveWay: () => Promise<void>;
}

// What a part can have, header included.
const partLines = 32_001;
// Of so many lines each refusal is told.
const fewLines = 1_000;
const pieceBytes = 64 * 1024;

export function createUsageWriter(deps: UsageWriterDeps): UsageWriter {
  const memories: RowMemory[] = [];
  const openParts = (format: UsageFormat, rules: IntakeRules, lines: number): UsageParts =>
    createUsageParts({
      ...{ format, memories, buckets: deps.buckets, partLines: lines },
      newBatchId: () => deps.newBatchId(deps.clock.now()),
      rules: () => rules,
    });
  /** A part keeps the first thousand refusals: the others are found by reading it in small ones. */
  const allRejected = ({ bytes, format, rules }: ReadRecords): RecordRejection[] => {
    const parts = openParts(format, { ...rules, rawFrom: deps.rules().rawFrom }, fewLines);
    const rejected: RecordRejection[] = [];
    const take = (some: readonly UsagePart[]): void => {
      for (const part of some) {
        rejected.push(...part.rejected);
        part.release();
      }
    };
    for (let at = 0; at < bytes.length; at += pieceBytes) take(parts.push(bytes.subarray(at, at + pieceBytes)));
    take(parts.end());
    return rejected;
  };
  // Where some records were there already, more will be.
  let stageFirst = false;
  return {
    read(bytes, format) {
      const rules = deps.rules();
      const parts = openParts(format, rules, partLines);
      return { bytes, format, rules, parts: [...parts.push(bytes), ...parts.end()] };
    },
    async writeIn(tx, records, actor) {
      const { parts, rules } = records;
      const sum = { accepted: 0, duplicates: 0, refused: 0 };
      const rejected: RecordRejection[] = [];
      try {
        for (const part of parts) {
          if (part.rows === 0 && part.rejectedRows === 0) continue;
          const outcome = await writePartIn(tx, { part, actor, producerKey: null, now: rules.now, stageFirst });
          sum.accepted += outcome.accepted;
          sum.duplicates += outcome.duplicates;
          sum.refused += outcome.rejectedRows;
          rejected.push(...outcome.rejected);
        }
      } finally {
        for (const part of parts) part.release();
      }
      stageFirst = sum.duplicates > 0;
      const { accepted, duplicates, refused } = sum;
      return { accepted, duplicates, rejected: rejected.length === refused ? rejected : allRejected(records) };
    },
    giveWay: deps.giveWay,
    async openDays(from) {
      const { rawFrom } = deps.rules();
      if (from >= rawFrom) return rawFrom;
      const { droppedBefore } = await deps.horizon();
      // As far as it goes: what lies before is refused record by record.
      const earliest = Math.max(from, droppedBefore ?? from, dayOf(deps.clock.now()) - maxOpenDays) as Day;
      return earliest >= rawFrom ? rawFrom : (await deps.openDays(earliest)).rawFrom;
    },
  };
}
