import { z } from 'zod';
import type { OrderId } from '../../core/ids.ts';
import { countedOrPlanned, keptWith, tellWhenDone } from '../../jobs/comparing.ts';
import type { JobBatch, JobContext, JobKind, JobTotal, JobWork } from '../../jobs/job.ts';
import type { Database } from '../../storage/database.ts';
import type { Transaction } from '../../storage/transaction.ts';
import { countUpTo, explainRows, type KeyPlace, keysAfter, plannedRows, windowEnd } from './order-verify-queries.ts';
import {
  type Difference,
  type Found,
  isMendable,
  mendOrders,
  type Verified,
  verifyKeys,
  verifySpan,
} from './order-verify-service.ts';
import { type IdSpan, idSpan } from './order-walk.ts';

const verifyParameters = z.strictObject({
  repair: z.boolean().default(false).meta({ description: 'Make differing copies anew from the histories.' }),
});
type VerifyParameters = z.output<typeof verifyParameters>;

/** A difference as it is kept with the run. */
type KeptDifference = Readonly<{ kind: Difference['kind']; order_id: OrderId; mended: boolean }>;

/** Orders first, by id; then their keys. The first differences travel with it. */
type VerifyCursor = (
  | { readonly phase: 'orders'; readonly from: OrderId }
  | { readonly phase: 'keys'; readonly after: Readonly<{ [Name in keyof KeyPlace]: KeyPlace[Name] }> | null }
) & { readonly differences: readonly KeptDifference[] };

type Batch = JobBatch<VerifyCursor, Verified>;

/** What is kept of the result when the run is done. */
export interface VerifyResult {
  /** At most 100; the counts are of all. */
  readonly first_differences: readonly KeptDifference[];
}

export interface OrderVerifyDeps {
  /** Told of each difference once its part of the orders is done. */
  readonly onDifference?: (difference: Difference) => void;
}

const everything = idSpan(null, null);
const beginning: VerifyCursor = { phase: 'orders', from: everything.from, differences: [] };

/** The copy that each order carries against its history, and whether every key leads to an order. */
export const createOrderVerifyKind = (
  deps: OrderVerifyDeps = {},
): JobKind<VerifyParameters, VerifyCursor, Verified> => ({
  name: 'orders.verify',
  title: 'compare every order with its history',
  parameters: verifyParameters,
  runsOn: 'anyone',
  batchRows: { initial: 5_000, min: 500, max: 50_000 },
  maxRowErrors: 0,
  tables: () => ['orders', 'order_statuses', 'order_keys'],
  uniqueKey: ({ repair }) => (repair ? 'repair' : 'look'),
  open: async (context) => verifyWork(deps, context),
});

function verifyWork(
  deps: OrderVerifyDeps,
  { db, parameters: { repair } }: JobContext<VerifyParameters>,
): JobWork<VerifyCursor, Verified> {
  const told = tellWhenDone<VerifyCursor, Verified>(({ differences }) => {
    for (const found of differences) deps.onDifference?.({ ...found, mended: repair && isMendable(found) });
  });
  let last: VerifyCursor = beginning;

  const plan = async (tx: Transaction, at: VerifyCursor, rows: number): Promise<Batch | null> => {
    if (at.phase === 'orders') {
      const { span, isLast } = await nextSpan(tx, at.from, rows);
      const verified = await verifySpan(tx, span);
      const differences = kept(at, verified.differences, repair);
      return {
        rows: Math.min(verified.orders, rows),
        cursor: isLast ? { phase: 'keys', after: null, differences } : { phase: 'orders', from: span.to, differences },
        plan: verified,
        rowKey: span.from,
      };
    }
    // Keys are read before orders are looked for.
    const keys = await tx.run(keysAfter(at.after, rows));
    const after = keys.at(-1);
    if (after === undefined) return null;
    const verified = await verifyKeys(tx, keys);
    return {
      rows: keys.length,
      cursor: { phase: 'keys', after: { ...after }, differences: kept(at, verified.differences, repair) },
      plan: verified,
      rowKey: after.key,
    };
  };

  return {
    async total() {
      const [orders, keys] = await Promise.all([rowsOf(db, 'orders'), rowsOf(db, 'order_keys')]);
      const isExact = orders.precision === 'exact' && keys.precision === 'exact';
      return { rows: orders.rows + keys.rows, precision: isExact ? 'exact' : 'estimate' };
    },
    async plan(tx, { after, rows }) {
      last = after ?? beginning;
      told.reached(last);
      const batch = await plan(tx, last, rows);
      if (batch !== null) told.planned(batch);
      return batch;
    },
    async apply(tx, { plan: { orders, statuses, keys, differences } }) {
      const mended = repair ? await mendOrders(tx, differences) : 0;
      return { counts: { orders, statuses, keys, differences: differences.length, mended } };
    },
    // Somebody who died after the very last batch took the list of differences with him; the counts are there.
    finish: async () => ({ kind: 'done', result: { first_differences: last.differences } }),
  };
}

const rowsOf = (db: Database, table: 'orders' | 'order_keys'): Promise<JobTotal> =>
  countedOrPlanned({
    countUpTo: async (most) => (await db.query(countUpTo(table, most)))[0]?.rows ?? 0,
    planned: async () => plannedRows(await db.query(explainRows(table))),
  });

/** So many orders from an id on; the last span reaches to the end of all ids. */
async function nextSpan(tx: Transaction, from: OrderId, rows: number): Promise<{ span: IdSpan; isLast: boolean }> {
  const rest = { from, to: everything.to };
  const [end] = await tx.run(windowEnd(rest, rows));
  return end === undefined ? { span: rest, isLast: true } : { span: { from, to: end.orderId }, isLast: false };
}

const kept = ({ differences }: VerifyCursor, found: readonly Found[], repair: boolean): readonly KeptDifference[] =>
  keptWith(differences, found, (one) => ({
    kind: one.kind,
    order_id: one.orderId,
    mended: repair && isMendable(one),
  }));
