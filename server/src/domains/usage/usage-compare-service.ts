import { type Day, formatDay } from '../../core/days.ts';
import { rawDayState } from '../../storage/day-partition-drop.ts';
import type { Transaction } from '../../storage/transaction.ts';
import {
  type Comparison,
  compareDay,
  compareTotals,
  lockMending,
  mendDay,
  mendTotals,
  type SumDifference,
} from './usage-compare-queries.ts';
import { lockRollup } from './usage-rollup-queries.ts';

/** A sum that is not what it is made of. */
export interface UsageDifference extends SumDifference {
  readonly kind: 'day' | 'total';
  /** `2026-11-21`; null for a total. */
  readonly day: string | null;
}

/** Sums that were compared together. */
export interface ComparedSums {
  readonly sums: number;
  readonly rawRows: number;
  readonly differences: number;
  /** At most 100. */
  readonly first: readonly UsageDifference[];
}

// A day of a hundred million rows takes some minutes.
const longestComparison: { readonly text: string; readonly values: readonly unknown[] } = {
  text: `set local statement_timeout = '30min'`,
  values: [],
};

/**
 * The sums of a day beside its raw rows and adjustments, as of one moment: ingest and rollup go on. On Citus the rollup waits
 * until the transaction ends, for there is no other such moment.
 * @returns null when its raw rows are not there (any more)
 */
export async function compareSumsOfDay(tx: Transaction, day: Day, isCitus: boolean): Promise<ComparedSums | null> {
  if ((await rawDayState(tx, day)) !== 'attached') return null;
  await tx.run(longestComparison);
  if (isCitus) await tx.run(lockRollup());
  const [compared] = await tx.run(compareDay(day, isCitus));
  // Taken out meanwhile: the statement may have seen it or not.
  if ((await rawDayState(tx, day)) !== 'attached') return null;
  return comparedSums(compared, { kind: 'day', day: formatDay(day) });
}

/** Totals of subscriptions: those behind `after` up to `upTo`; null = to the end. */
export interface SomeTotals {
  readonly after: string;
  readonly upTo: string | null;
}

/** These totals beside the sums of all their days, as of one moment. */
export async function compareSomeTotals(
  tx: Transaction,
  { after, upTo }: SomeTotals,
  isCitus: boolean,
): Promise<ComparedSums> {
  await tx.run(longestComparison);
  if (isCitus) await tx.run(lockRollup());
  const [compared] = await tx.run(compareTotals(after, upTo));
  return comparedSums(compared, { kind: 'total', day: null });
}

function comparedSums(compared: Comparison | undefined, of: Pick<UsageDifference, 'kind' | 'day'>): ComparedSums {
  if (compared === undefined) throw new RangeError('A comparison gave no row.');
  return {
    sums: Number(compared.sums),
    rawRows: Number(compared.rawRows),
    differences: Number(compared.differences),
    first: (compared.first ?? []).map((difference) => ({ ...difference, ...of })),
  };
}

class TakenOut extends Error {
  override readonly name = 'TakenOut';
}

/** Puts the sums of a day right, whatever is rolled up meanwhile. @returns how many were wrong; 0 when its raw rows are gone */
export async function mendSumsOfDay(tx: Transaction, day: Day, isCitus: boolean): Promise<number> {
  await tx.run(lockMending());
  if (isCitus) await tx.run(lockRollup());
  try {
    return await tx.savepoint(async () => {
      const { length } = await tx.run(mendDay(day, isCitus));
      if ((await rawDayState(tx, day)) !== 'attached') throw new TakenOut();
      return length;
    });
  } catch (error) {
    if (error instanceof TakenOut) return 0;
    throw error;
  }
}

/** Makes totals the sums of their days. @returns how many were wrong */
export async function mendSomeTotals(tx: Transaction, { after, upTo }: SomeTotals, isCitus: boolean): Promise<number> {
  await tx.run(lockMending());
  if (isCitus) await tx.run(lockRollup());
  return (await tx.run(mendTotals(after, upTo))).length;
}
