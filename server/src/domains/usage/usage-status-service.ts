import { type Day, dayOf } from '../../core/days.ts';
import { DomainError } from '../../core/errors.ts';
import type { Clock, Instant } from '../../core/time.ts';
import type { Database } from '../../storage/database.ts';
import { listRawDays } from '../../storage/day-partitions.ts';
import { type BatchId, maxAheadMs, type UsageErrorCode } from './usage.ts';
import { type Horizon, horizonOf, selectHorizon, selectOpenSummary } from './usage-ledger-queries.ts';
import type { LedgerState } from './usage-read-service.ts';
import { type LedgerRow as LedgerEntry, selectBatch, someRecordOf } from './usage-status-queries.ts';

/** How far the sums are behind what was taken in, and which days still have raw rows. */
export interface UsageStatus {
  readonly asOf: Instant;
  readonly openBatches: number;
  readonly openRows: bigint;
  readonly oldestOpenAt: Instant | null;
  /** The age of the oldest open batch; 0 = there is none. */
  readonly lagMs: number;
  readonly horizon: Horizon;
  /** The latest `maxDaysShown` of the days that have raw rows. */
  readonly rawDays: readonly Day[];
}

/** Days that a status looks into. */
const maxDaysShown = 400;

export interface UsageStatusReads {
  usageStatus(): Promise<UsageStatus>;
  /** What became of a batch. @throws DomainError `usage_batch_not_found` */
  getBatch(batchId: BatchId): Promise<LedgerEntry>;
}

export interface UsageStatusDeps {
  readonly db: Database;
  readonly clock: Clock;
  readonly ledger: Pick<LedgerState, 'asOf'>;
}

export function createUsageStatus({ db, clock, ledger }: UsageStatusDeps): UsageStatusReads {
  return {
    async usageStatus() {
      const asOf = await ledger.asOf();
      const [[open], [horizonRow]] = await Promise.all([db.read(selectOpenSummary()), db.read(selectHorizon())]);
      const horizon = horizonOf(horizonRow);
      const now = clock.now();
      const last = dayOf((now + maxAheadMs) as Instant);
      // The horizon tells what is taken, not what is there: a drop that was refused or broken off leaves days before it.
      const days = (await listRawDays(db)).filter((day) => day <= last).slice(-maxDaysShown);
      const found = await Promise.all(days.map(async (day) => (await db.query(someRecordOf(day))).length > 0));
      const oldestOpenAt = open?.oldestOpenAt ?? null;
      return {
        asOf,
        openBatches: Number(open?.openBatches ?? 0n),
        openRows: open?.openRows ?? 0n,
        oldestOpenAt,
        lagMs: oldestOpenAt === null ? 0 : Math.max(0, now - oldestOpenAt),
        horizon,
        rawDays: days.filter((_, i) => found[i] === true),
      };
    },
    async getBatch(batchId) {
      const [row] = await db.read(selectBatch(batchId));
      if (row !== undefined) return row;
      throw new DomainError<UsageErrorCode>(
        'usage_batch_not_found',
        'There is no batch with this id. Batches are forgotten when the raw rows of all their days are dropped.',
      );
    },
  };
}

export type { LedgerEntry };
