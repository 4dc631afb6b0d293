import { type Day, formatDay, parseDay } from '../../core/days.ts';
import { countedOrPlanned, keptWith, tellWhenDone } from '../../jobs/comparing.ts';
import type { JobBatch, JobTotal, JobWork } from '../../jobs/job.ts';
import type { Database } from '../../storage/database.ts';
import { listRawDays } from '../../storage/day-partitions.ts';
import { recogniseServer } from '../../storage/topology.ts';
import type { Transaction } from '../../storage/transaction.ts';
import { countTotalsUpTo, endOfTotals, plannedTotals } from './usage-compare-queries.ts';
import {
  type ComparedSums,
  compareSomeTotals,
  compareSumsOfDay,
  mendSomeTotals,
  mendSumsOfDay,
  type UsageDifference,
} from './usage-compare-service.ts';

/** A difference as it is kept with the run. */
export type KeptUsageDifference = Readonly<{
  kind: UsageDifference['kind'];
  subscription_id: string;
  usage_type: string;
  day: string | null;
  records: string;
  used: string;
  price: string;
  stored_records: string;
  stored_used: string;
  stored_price: string;
  mended: boolean;
}>;

/** Days first, oldest first; then totals, by subscription. The first differences travel with it. */
export type CompareCursor = Readonly<{
  /** The last day that was compared; null = none. */
  day: string | null;
  /** Totals up to this subscription were compared; null = the days come first. */
  totals: string | null;
  isDone: boolean;
  mended: number;
  differences: readonly KeptUsageDifference[];
}>;

/** What is compared in one batch. */
export interface ComparePlan {
  readonly part:
    | { readonly kind: 'day'; readonly day: Day }
    | { readonly kind: 'totals'; readonly after: string; readonly upTo: string | null };
  /** null: the raw rows of the day were dropped meanwhile. */
  readonly compared: ComparedSums | null;
}

export interface CompareOptions {
  /** Days to be compared, as far as their raw rows are there. */
  readonly days: (day: Day) => boolean;
  readonly repair: boolean;
  /** Whether totals follow: always, or only where a sum of a day was put right. */
  readonly totals: 'always' | 'after mending';
  /** Told of each difference once its batch is done. */
  readonly onDifference?: (difference: KeptUsageDifference) => void;
}

interface Options extends CompareOptions {
  readonly isCitus: boolean;
}

type Batch = JobBatch<CompareCursor, ComparePlan>;

const beginning: CompareCursor = { day: null, totals: null, isDone: false, mended: 0, differences: [] };

/**
 * Compares sums with what they are made of: each day in one statement, so that all of it is of one moment while ingest and
 * rollup go on; then the totals with the sums of all days.
 */
export async function compareWork(db: Database, asked: CompareOptions): Promise<JobWork<CompareCursor, ComparePlan>> {
  const options: Options = { ...asked, isCitus: (await recogniseServer(db)).topology === 'citus' };
  const told = tellWhenDone<CompareCursor, ComparePlan>(({ compared }) => {
    for (const found of compared?.first ?? []) options.onDifference?.(kept(found, options.repair));
  });
  let last = beginning;
  return {
    total: () => totalOf(db, options),
    async plan(tx, { after, rows }) {
      last = after ?? beginning;
      told.reached(last);
      const batch = last.isDone ? null : await nextBatch(tx, last, { options, rows });
      if (batch !== null) told.planned(batch);
      return batch;
    },
    async apply(tx, { plan }) {
      const mended = options.repair ? await mend(tx, plan, options) : 0;
      return { counts: { ...countsOf(plan), mended } };
    },
    // Somebody who died after the very last batch took the list of differences with him; the counts are there.
    finish: async () => ({ kind: 'done', result: { first_differences: last.differences } }),
  };
}

interface Ask {
  readonly options: Options;
  readonly rows: number;
}

async function nextBatch(tx: Transaction, at: CompareCursor, ask: Ask): Promise<Batch | null> {
  if (at.totals === null) {
    const day = await dayBehind(tx, at.day, ask.options);
    if (day !== null) return batchOfDay(tx, at, { day, ...ask });
    if (ask.options.totals === 'after mending' && at.mended === 0) return null;
  }
  return batchOfTotals(tx, at, ask);
}

async function dayBehind(tx: Transaction, after: string | null, { days }: CompareOptions): Promise<Day | null> {
  const last = after === null ? null : parseDay(after);
  const present = await listRawDays({ query: tx.run });
  return present.find((day) => days(day) && (last === null || day > last)) ?? null;
}

async function batchOfDay(tx: Transaction, at: CompareCursor, { day, options }: Ask & { day: Day }): Promise<Batch> {
  const compared = await compareSumsOfDay(tx, day, options.isCitus);
  return {
    rows: 1,
    cursor: { ...at, day: formatDay(day), ...carried(at, compared, options) },
    plan: { part: { kind: 'day', day }, compared },
    rowKey: formatDay(day),
  };
}

async function batchOfTotals(tx: Transaction, at: CompareCursor, { options, rows }: Ask): Promise<Batch> {
  const after = at.totals ?? '';
  const [end] = await tx.run(endOfTotals(after, rows));
  // The last part reaches behind all totals: days without a total may stand there.
  const upTo = end?.subscriptionId ?? null;
  const compared = await compareSomeTotals(tx, { after, upTo }, options.isCitus);
  return {
    rows: Math.min(compared.sums, rows),
    cursor: { ...at, totals: upTo ?? after, isDone: upTo === null, ...carried(at, compared, options) },
    plan: { part: { kind: 'totals', after, upTo }, compared },
    rowKey: after === '' ? 'the first subscription' : `behind ${after}`,
  };
}

function carried(
  { differences, mended }: CompareCursor,
  compared: ComparedSums | null,
  { repair }: CompareOptions,
): Pick<CompareCursor, 'differences' | 'mended'> {
  return {
    differences: keptWith(differences, compared?.first ?? [], (found) => kept(found, repair)),
    mended: repair ? mended + (compared?.differences ?? 0) : mended,
  };
}

const kept = (found: UsageDifference, mended: boolean): KeptUsageDifference => ({
  kind: found.kind,
  subscription_id: found.subscriptionId,
  usage_type: found.usageType,
  day: found.day,
  records: found.records,
  used: found.used,
  price: found.price,
  stored_records: found.storedRecords,
  stored_used: found.storedUsed,
  stored_price: found.storedPrice,
  mended,
});

function mend(tx: Transaction, { part, compared }: ComparePlan, { isCitus }: Options): Promise<number> {
  if (compared === null || compared.differences === 0) return Promise.resolve(0);
  return part.kind === 'day' ? mendSumsOfDay(tx, part.day, isCitus) : mendSomeTotals(tx, part, isCitus);
}

function countsOf({ part, compared }: ComparePlan): Readonly<Record<string, number>> {
  const { sums = 0, rawRows = 0, differences = 0 } = compared ?? {};
  return part.kind === 'day'
    ? { days: compared === null ? 0 : 1, daily_sums: sums, raw_rows: rawRows, differences }
    : { totals: sums, differences };
}

async function totalOf(db: Database, { days, totals }: CompareOptions): Promise<JobTotal> {
  const present = (await listRawDays(db)).filter(days).length;
  if (totals === 'after mending') return { rows: present, precision: 'exact' };
  const { rows, precision } = await countedOrPlanned({
    countUpTo: async (most) => Number((await db.query(countTotalsUpTo(most)))[0]?.rows ?? 0n),
    planned: async () => Number((await db.query(plannedTotals()))[0]?.rows ?? 0n),
  });
  return { rows: present + rows, precision };
}
