import type { ShipmentId } from '../../core/ids.ts';
import type { Clock } from '../../core/time.ts';
import { copyChunks } from '../../storage/copy.ts';
import { StorageError } from '../../storage/faults.ts';
import type { Transaction } from '../../storage/transaction.ts';
import type { NewEvent, ShipmentDetail, ShipmentEvent } from './shipment.ts';
import { announceShipments } from './shipment-announcement-service.ts';
import { recordEventsIn } from './shipment-events-service.ts';
import { byPlacedKey, type PlacedShipment } from './shipment-placement.ts';
import {
  articleValues,
  copyArticles,
  copyEvents,
  copyShipments,
  eventValues,
  insertArticles,
  insertEvents,
  insertShipments,
  type Owned,
  type PlacedArticle,
  type StoredKey,
  shipmentValues,
  storedKeys,
} from './shipment-store-queries.ts';
import { keyText, type ShipmentKey } from './tracking-key.ts';

export type ShipmentOutcome =
  | { readonly kind: 'created'; readonly shipment: ShipmentDetail }
  /** The same document was stored before. `eventsAdded`: events of it that were new. */
  | { readonly kind: 'replayed'; readonly key: ShipmentKey; readonly eventsAdded: number }
  | {
      readonly kind: 'refused';
      readonly code: 'shipment_key_reused' | 'occurred_at_in_future' | 'shipment_refused';
      readonly key: ShipmentKey;
    };

/** How rows travel: `insert` for up to some hundred, `copy` for thousands. */
export type WriteMethod = 'insert' | 'copy';

/** A shipment that may be stored, and what a replay needs. */
export interface Candidate {
  readonly placed: PlacedShipment;
  /** Those that were submitted with it: a replay adds what is missing of them. */
  readonly events: readonly NewEvent[];
  readonly actor: string;
}

export interface BatchRun {
  readonly clock: Clock;
  readonly method: WriteMethod;
  /** The transaction ran before, and perhaps it was committed. */
  readonly again: boolean;
}

/**
 * Writes a batch in the caller's transaction: shipments whose keys are free, with their articles and events. What remains was
 * stored before (a replay: only events that are missing are added) or has another document under its key. Running it again after
 * a lost COMMIT does no harm: every id was made before the transaction, so its own rows are recognised.
 * @returns the outcomes in the order of the input, and the keys of the shipments that were made or changed
 */
export async function writeBatchIn(
  tx: Transaction,
  candidates: readonly Candidate[],
  run: BatchRun,
): Promise<{ outcomes: ShipmentOutcome[]; changed: ShipmentKey[] }> {
  const claimants = firstOfEachKey(candidates);
  const claimed = await claimKeys(tx, claimants, run);
  const created = claimants.filter(({ shipment }) => claimed.has(shipment.shipmentId));
  await insertParts(tx, created, run);
  await announceShipments(
    tx,
    created.map(({ shipment }) => shipment),
  );

  const rest = candidates.filter(({ placed }) => !claimed.has(placed.shipment.shipmentId));
  const keys = new Map(rest.map(({ placed: { shipment } }) => [keyText(shipment), shipment]));
  const rows = keys.size === 0 ? [] : await tx.run(storedKeys([...keys.values()]));
  const stored = new Map(rows.map((row) => [keyText(row), row]));
  const outcomes = candidates.map((candidate) => outcomeOf(candidate, claimed, stored));
  const added = await addEvents(tx, candidates, { outcomes, clock: run.clock });
  return { outcomes: added.outcomes, changed: [...created.map(({ shipment }) => shipment), ...added.changed] };
}

function outcomeOf(
  { placed: { shipment, contentHash } }: Candidate,
  claimed: ReadonlySet<ShipmentId>,
  stored: ReadonlyMap<string, StoredKey>,
): ShipmentOutcome {
  if (claimed.has(shipment.shipmentId)) return { kind: 'created', shipment };
  const found = stored.get(keyText(shipment));
  if (found === undefined) throw new StorageError('storage_fault', 'A key was neither free nor taken.');
  // Our own id under our own key: this very transaction was committed before.
  if (found.shipmentId === shipment.shipmentId) return { kind: 'created', shipment };
  const key = { trackingKey: found.trackingKey, carrierKey: found.carrierKey };
  // What came with a file has no document to compare with: a file may change it, a submission may not.
  return found.contentHash !== null && found.contentHash === contentHash
    ? { kind: 'replayed', key, eventsAdded: 0 }
    : { kind: 'refused', code: 'shipment_key_reused', key };
}

function firstOfEachKey(candidates: readonly Candidate[]): PlacedShipment[] {
  const first = new Map<string, PlacedShipment>();
  for (const { placed } of candidates) {
    const key = keyText(placed.shipment);
    if (!first.has(key)) first.set(key, placed);
  }
  return [...first.values()].sort(byPlacedKey);
}

/** @returns the ids of the shipments whose keys were free; their rows are written */
async function claimKeys(
  tx: Transaction,
  claimants: readonly PlacedShipment[],
  { method, again }: BatchRun,
): Promise<Set<ShipmentId>> {
  // What a lost first run stored, or is committing still, INSERT waits for and leaves alone; COPY would fail.
  if (method === 'copy' && !again) {
    try {
      // Most bulk rows are new: COPY first, and only where a key is taken the slower statement that says which ones.
      await tx.savepoint(() => tx.copyIn(copyShipments, copyChunks(claimants, shipmentValues)));
      return new Set(claimants.map(({ shipment }) => shipment.shipmentId));
    } catch (error) {
      if (!(error instanceof StorageError && error.fault?.kind === 'unique')) throw error;
    }
  }
  return new Set((await tx.run(insertShipments(claimants))).map(({ shipmentId }) => shipmentId));
}

/** Writes the articles and events of shipments whose rows were just written. */
async function insertParts(
  tx: Transaction,
  created: readonly PlacedShipment[],
  { method }: Pick<BatchRun, 'method'>,
): Promise<void> {
  const articles = created.flatMap(articlesOf);
  const events = created.flatMap(eventsOf);
  if (method === 'copy') {
    if (articles.length > 0) await tx.copyIn(copyArticles, copyChunks(articles, articleValues));
    if (events.length > 0) await tx.copyIn(copyEvents, copyChunks(events, eventValues));
    return;
  }
  if (articles.length > 0) await tx.run(insertArticles(articles));
  if (events.length > 0) await tx.run(insertEvents(events));
}

const articlesOf = ({ shipment, bucket }: PlacedShipment): Owned<PlacedArticle>[] =>
  shipment.articles.map((article, i) => ({ key: shipment, bucket, row: { ...article, position: i + 1 } }));

const eventsOf = ({ shipment, bucket }: PlacedShipment): Owned<ShipmentEvent>[] =>
  shipment.events.map((row) => ({ key: shipment, bucket, row }));

/** Replays add the events that are missing; those without a time happened when the document came first. */
async function addEvents(
  tx: Transaction,
  candidates: readonly Candidate[],
  { outcomes, clock }: { readonly outcomes: readonly ShipmentOutcome[]; readonly clock: Clock },
): Promise<{ outcomes: ShipmentOutcome[]; changed: ShipmentKey[] }> {
  const places: number[] = [];
  const events = outcomes.flatMap((outcome, i) => {
    const candidate = candidates[i];
    if (outcome.kind !== 'replayed' || candidate === undefined) return [];
    const timed = candidate.events.filter(({ occurredAt }) => occurredAt !== null);
    places.push(...timed.map(() => i));
    return timed.map((event) => ({ key: outcome.key, event, actor: candidate.actor }));
  });
  if (events.length === 0) return { outcomes: [...outcomes], changed: [] };
  const recorded = await recordEventsIn(tx, clock, events);
  const added = new Map<number, number>();
  for (const [i, { kind }] of recorded.outcomes.entries()) {
    const place = places[i] ?? -1;
    if (kind === 'recorded' || kind === 'late') added.set(place, (added.get(place) ?? 0) + 1);
  }
  return {
    outcomes: outcomes.map((outcome, i) =>
      outcome.kind === 'replayed' ? { ...outcome, eventsAdded: added.get(i) ?? 0 } : outcome,
    ),
    changed: recorded.changed,
  };
}
