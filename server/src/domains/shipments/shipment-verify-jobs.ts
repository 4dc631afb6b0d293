import { z } from 'zod';
import { type Clock, systemClock } from '../../core/time.ts';
import { countedOrPlanned, keptWith, tellWhenDone } from '../../jobs/comparing.ts';
import type { JobBatch, JobContext, JobKind, JobTotal, JobWork } from '../../jobs/job.ts';
import type { Database } from '../../storage/database.ts';
import type { Transaction } from '../../storage/transaction.ts';
import { type ShipmentsChanged, tellChange } from './shipment-change.ts';
import {
  countUpTo,
  explainRows,
  type KeyPlace,
  type KeySpan,
  plannedRows,
  spanEnd,
} from './shipment-verify-queries.ts';
import {
  type FoundDifference,
  isMendable,
  mendShipments,
  type ShipmentDifference,
  type VerifiedShipments,
  verifySpan,
} from './shipment-verify-service.ts';
import type { ShipmentKey } from './tracking-key.ts';

const verifyParameters = z.strictObject({
  repair: z.boolean().default(false).meta({ description: 'Make differing copies anew from the events.' }),
});
type VerifyParameters = z.output<typeof verifyParameters>;

/** A difference as it is kept with the run. */
export type KeptShipmentDifference = Readonly<{
  kind: ShipmentDifference['kind'];
  carrier_key: string;
  tracking_key: string;
  mended: boolean;
}>;

type CursorKey = Readonly<{ [Name in keyof KeyPlace]: KeyPlace[Name] }>;

/** Up to which key shipments were compared. The first differences travel with it. */
type VerifyCursor = Readonly<{
  after: CursorKey | null;
  isDone: boolean;
  differences: readonly KeptShipmentDifference[];
}>;

type Batch = JobBatch<VerifyCursor, VerifiedShipments>;

/** What is kept of the result when the run is done. */
export interface ShipmentVerifyResult {
  /** At most 100; the counts are of all. */
  readonly first_differences: readonly KeptShipmentDifference[];
}

export interface ShipmentVerifyDeps {
  readonly clock?: Clock;
  /** Told of each difference once its part of the shipments is done. */
  readonly onDifference?: (difference: ShipmentDifference) => void;
  /** Told of the shipments that were mended. */
  readonly onChange?: ShipmentsChanged;
}

const beginning: VerifyCursor = { after: null, isDone: false, differences: [] };

/** The status that each shipment carries against its events, and whether every article and event leads to a shipment. */
export const createShipmentVerifyKind = (
  deps: ShipmentVerifyDeps = {},
): JobKind<VerifyParameters, VerifyCursor, VerifiedShipments> => ({
  name: 'shipments.verify',
  title: 'compare every shipment with its events',
  parameters: verifyParameters,
  runsOn: 'anyone',
  batchRows: { initial: 2_000, min: 200, max: 20_000 },
  maxRowErrors: 0,
  tables: () => ['shipments', 'shipment_events', 'shipment_articles'],
  uniqueKey: ({ repair }) => (repair ? 'repair' : 'look'),
  open: async (context) => verifyWork(deps, context),
});

function verifyWork(
  deps: ShipmentVerifyDeps,
  { db, parameters: { repair } }: JobContext<VerifyParameters>,
): JobWork<VerifyCursor, VerifiedShipments> {
  const told = tellWhenDone<VerifyCursor, VerifiedShipments>(({ differences }) => {
    for (const found of differences) deps.onDifference?.({ ...found, mended: repair && isMendable(found) });
  });
  let last: VerifyCursor = beginning;
  let mended: readonly ShipmentKey[] = [];
  return {
    total: () => totalOf(db),
    async plan(tx, { after, rows }) {
      last = after ?? beginning;
      told.reached(last);
      const batch = last.isDone ? null : await nextBatch(tx, last, { rows, repair });
      if (batch !== null) told.planned(batch);
      return batch;
    },
    async apply(tx, { plan: { shipments, events, articles, differences } }) {
      mended = repair ? await mendShipments(tx, differences, deps.clock ?? systemClock) : [];
      return { counts: { shipments, events, articles, differences: differences.length, mended: mended.length } };
    },
    settled: () => void tellChange(deps.onChange, mended),
    // Somebody who died after the very last batch took the list of differences with him; the counts are there.
    finish: async () => ({ kind: 'done', result: { first_differences: last.differences } }),
  };
}

async function nextBatch(
  tx: Transaction,
  { after, differences }: VerifyCursor,
  { rows, repair }: { readonly rows: number; readonly repair: boolean },
): Promise<Batch> {
  const [end] = await tx.run(spanEnd(after, rows));
  // The last span reaches behind all keys: what has no shipment may stand there.
  const span: KeySpan = { after, to: end ?? null };
  const verified = await verifySpan(tx, span);
  return {
    rows: Math.min(verified.shipments, rows),
    cursor: {
      after: end === undefined ? after : { ...end },
      isDone: end === undefined,
      differences: keptWith(differences, verified.differences, (found) => kept(found, repair)),
    },
    plan: verified,
    rowKey: after === null ? 'the first shipment' : `behind ${after.carrierKey} ${after.trackingKey}`,
  };
}

const totalOf = (db: Database): Promise<JobTotal> =>
  countedOrPlanned({
    countUpTo: async (most) => (await db.query(countUpTo(most)))[0]?.rows ?? 0,
    planned: async () => plannedRows(await db.query(explainRows())),
  });

const kept = (found: FoundDifference, repair: boolean): KeptShipmentDifference => ({
  kind: found.kind,
  carrier_key: found.carrierKey,
  tracking_key: found.trackingKey,
  mended: repair && isMendable(found),
});
