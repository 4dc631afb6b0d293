import { bucketOfId, newShipmentId } from '../../core/ids.ts';
import { type CopyValue, copyChunks, copyLine } from '../../storage/copy.ts';
import { StorageError } from '../../storage/faults.ts';
import type { Statement } from '../../storage/sql.ts';
import type { Transaction } from '../../storage/transaction.ts';
import type { ShipmentEvent } from './shipment.ts';
import { type ImportCandidate, type ImportedShipment, type ImportOutcome, outcomeOf } from './shipment-import-merge.ts';
import {
  type KnownArticle,
  type KnownShipment,
  type PlanOptions,
  planChange,
  planNew,
  type ShipmentPlan,
} from './shipment-import-plan.ts';
import { lockAllShipments } from './shipment-lock-service.ts';
import { articlesByKeys, shipmentsByKeys, updateArticles, updateShipments } from './shipment-rows-queries.ts';
import {
  articleValues,
  copyArticles,
  copyEvents,
  copyShipments,
  eventsOfShipments,
  eventValues,
  type Owned,
  type PlacedArticle,
  type ShipmentToStore,
  shipmentValues,
} from './shipment-store-queries.ts';
import { maxArticles } from './shipment-submission.ts';
import { bucketOfShipment, keyText, type ShipmentKey } from './tracking-key.ts';

/** Runs one statement, in a transaction or outside. */
export type Reader = <Row>(statement: Statement<Row>) => Promise<Row[]>;

/** A shipment that is there, as it was read. */
export type Stored = Omit<KnownShipment, 'events'>;

/** Those of the shipments that exist, with their articles, by `keyText`. */
export async function findStored(read: Reader, keys: readonly ShipmentKey[]): Promise<Map<string, Stored>> {
  if (keys.length === 0) return new Map();
  const rows = await read(shipmentsByKeys(keys));
  if (rows.length === 0) return new Map();
  const articles = groupedByKey(await read(articlesByKeys(rows.map(({ shipment }) => shipment))));
  return new Map(
    rows.map((row) => {
      const key = keyText(row.shipment);
      return [key, { ...row, articles: (articles.get(key) ?? []) as readonly KnownArticle[] }];
    }),
  );
}

/** All events of these shipments, by `keyText`; may bring those of a few more. */
export async function findEvents(read: Reader, keys: readonly ShipmentKey[]): Promise<Map<string, ShipmentEvent[]>> {
  if (keys.length === 0) return new Map();
  const found = groupedByKey(await read(eventsOfShipments(keys)));
  return new Map([...found].map(([key, rows]) => [key, rows.map(({ event }) => event)]));
}

function groupedByKey<Row extends ShipmentKey>(rows: readonly Row[]): Map<string, Row[]> {
  const groups = new Map<string, Row[]>();
  for (const row of rows) {
    const key = keyText(row);
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [row]);
    else group.push(row);
  }
  return groups;
}

/** The rows of a shipment that is there, judged. */
export interface JudgedChange<Rejection> {
  readonly candidate: ImportCandidate<Rejection>;
  /** Null when none of the rows is good. */
  readonly imported: ImportedShipment | null;
  /** What becomes of them, unless there is nothing to change. */
  readonly outcome: ImportOutcome<Rejection>;
}

/** Judges rows by what is stored. */
export function judgeChange<Rejection>(
  candidate: ImportCandidate<Rejection>,
  { shipment, articles }: Stored,
): JudgedChange<Rejection> {
  const articleKeys = articles.map(({ articleKey }) => articleKey);
  const judged = candidate.judge({ currency: shipment.currency, articleKeys });
  const { shipment: imported } = judged;
  return { candidate, imported, outcome: outcomeOf(candidate.key, imported === null ? 'rejected' : 'updated', judged) };
}

/** Locks shipments that are there and changes them as files want it. */
export async function changeShipments<Rejection>(
  tx: Transaction,
  wanted: readonly JudgedChange<Rejection>[],
  options: PlanOptions,
): Promise<ImportOutcome<Rejection>[]> {
  if (wanted.length === 0) return [];
  const keys = wanted.map(({ candidate }) => candidate.key);
  await lockAllShipments(tx, keys);
  // In later statements, which see what others committed before the locks were given.
  const stored = await findStored(tx.run, keys);
  const events = await findEvents(tx.run, keys);
  const plans: ShipmentPlan[] = [];
  const outcomes = wanted.map((change): ImportOutcome<Rejection> => {
    const key = keyText(change.candidate.key);
    const known = stored.get(key);
    if (known === undefined) throw new RangeError('A shipment is never deleted.');
    // Others may have added articles since the rows were judged.
    const { imported, outcome } = mayBeFull(known, change) ? judgeChange(change.candidate, known) : change;
    if (imported === null) return outcome;
    const plan = planChange({ ...known, events: events.get(key) ?? [] }, imported, options);
    if (plan === null) return { ...outcome, kind: 'unchanged' };
    plans.push(plan);
    return outcome;
  });
  await writeChanges(tx, plans);
  return outcomes;
}

const mayBeFull = ({ articles }: Stored, { imported }: JudgedChange<unknown>): boolean =>
  articles.length + (imported?.articles.length ?? 0) > maxArticles;

async function writeChanges(tx: Transaction, plans: readonly ShipmentPlan[]): Promise<void> {
  if (plans.length === 0) return;
  await tx.run(updateShipments(plans.map(toStore)));
  const changed = plans.flatMap((plan) => ownArticles(plan, plan.changedArticles));
  if (changed.length > 0) await tx.run(updateArticles(changed));
  await copyNew(tx, plans);
}

/**
 * Stores shipments that are not there yet, by COPY: all or nothing. They are judged, planned and encoded as they are sent, so that
 * the database works at the first ones meanwhile and nothing of them stays but their outcomes.
 * @returns null when somebody else has created one of them meanwhile; nothing was stored then
 */
export async function createShipmentRows<Rejection>(
  tx: Transaction,
  candidates: readonly ImportCandidate<Rejection>[],
  options: PlanOptions,
): Promise<ImportOutcome<Rejection>[] | null> {
  if (candidates.length === 0) return [];
  const outcomes: ImportOutcome<Rejection>[] = [];
  const [articles, events] = [copyText(), copyText()];
  const plans = function* () {
    for (const candidate of candidates) {
      const judged = candidate.judge(null);
      const { shipment: imported } = judged;
      outcomes.push(outcomeOf(candidate.key, imported === null ? 'rejected' : 'created', judged));
      if (imported === null) continue;
      const plan = planNew(imported, newShipmentId(options.now, bucketOfShipment(imported.key)), options);
      yield plan;
      for (const article of ownArticles(plan, plan.newArticles)) articles.add(articleValues(article));
      for (const event of ownEvents(plan)) events.add(eventValues(event));
    }
  };
  try {
    await tx.savepoint(async () => {
      await tx.copyIn(
        copyShipments,
        copyChunks(plans(), (plan) => shipmentValues(toStore(plan))),
      );
      await sendRest(tx, articles, events);
    });
    return outcomes;
  } catch (error) {
    if (error instanceof StorageError && error.fault?.kind === 'unique') return null;
    throw error;
  }
}

async function sendRest(tx: Transaction, articles: CopyText, events: CopyText): Promise<void> {
  if (!articles.isEmpty()) await tx.copyIn(copyArticles, articles.chunks());
  if (!events.isEmpty()) await tx.copyIn(copyEvents, events.chunks());
}

/** The new articles and events of shipments that are locked. */
async function copyNew(tx: Transaction, plans: readonly ShipmentPlan[]): Promise<void> {
  const [articles, events] = [copyText(), copyText()];
  for (const plan of plans) {
    for (const article of ownArticles(plan, plan.newArticles)) articles.add(articleValues(article));
    for (const event of ownEvents(plan)) events.add(eventValues(event));
  }
  await sendRest(tx, articles, events);
}

/** Lines for COPY that wait for their turn as text. */
interface CopyText {
  add(values: readonly CopyValue[]): void;
  isEmpty(): boolean;
  chunks(): Iterable<Buffer>;
}

const chunkChars = 64 * 1024;

function copyText(): CopyText {
  const full: string[] = [];
  let text = '';
  return {
    add(values) {
      text += copyLine(values);
      if (text.length < chunkChars) return;
      full.push(text);
      text = '';
    },
    isEmpty: () => full.length === 0 && text === '',
    *chunks() {
      for (const chunk of full) yield Buffer.from(chunk, 'utf8');
      if (text !== '') yield Buffer.from(text, 'utf8');
    },
  };
}

/** What comes with a file has no hash. */
const toStore = ({ shipment, importedStatus }: ShipmentPlan): ShipmentToStore => ({
  shipment,
  bucket: bucketOfId(shipment.shipmentId),
  contentHash: null,
  importedStatus,
});

const ownArticles = ({ shipment }: ShipmentPlan, articles: readonly KnownArticle[]): Owned<PlacedArticle>[] =>
  articles.map(({ position, article }) => ({
    key: shipment,
    bucket: bucketOfId(shipment.shipmentId),
    row: { sku: article.sku, name: article.name, quantity: article.quantity, unitPrice: article.unitPrice, position },
  }));

const ownEvents = ({ shipment, newEvents }: ShipmentPlan): Owned<ShipmentEvent>[] =>
  newEvents.map((row) => ({ key: shipment, bucket: bucketOfId(shipment.shipmentId), row }));
