import type { Clock, Instant } from '../../core/time.ts';
import type { Transaction } from '../../storage/transaction.ts';
import type { Shipment, ShipmentEvent } from './shipment.ts';
import { announceShipments } from './shipment-announcement-service.ts';
import { lockAllShipments } from './shipment-lock-service.ts';
import { deriveStatus, type StatusState } from './shipment-status.ts';
import { eventsOfShipments, storedKeys, updateStates } from './shipment-store-queries.ts';
import { articlesIn, eventsIn, type KeySpan, shipmentsIn, shipmentsWithEvents } from './shipment-verify-queries.ts';
import { bucketOfShipment, keyText, type ShipmentKey } from './tracking-key.ts';

/** Something that the tables of shipments do not agree about. */
export interface ShipmentDifference extends ShipmentKey {
  readonly kind: 'status_differs' | 'seq_twice' | 'event_without_shipment' | 'article_without_shipment';
  readonly mended: boolean;
}

export type FoundDifference = Omit<ShipmentDifference, 'mended'>;

/** What was found in a part of the shipments. */
export interface VerifiedShipments {
  readonly shipments: number;
  readonly events: number;
  readonly articles: number;
  readonly differences: readonly FoundDifference[];
}

/**
 * Derives the status of every shipment of a span from its events anew and compares. Writes that go on meanwhile cause no
 * differences: what differs is looked at again, a shipment with its events at one moment.
 */
export async function verifySpan(tx: Transaction, span: KeySpan): Promise<VerifiedShipments> {
  const shipments = await tx.run(shipmentsIn(span));
  const there = new Set(shipments.map(keyText));
  // Behind the shipments: a row that is seen now belongs to one that is there now, if not in the list above.
  const { logs, events, lost } = await eventLogs(tx, span, there);
  let articles = 0;
  const lostArticles: ShipmentKey[] = [];
  for (const row of await tx.run(articlesIn(span))) {
    articles += row.articles;
    if (!there.has(keyText(row))) lostArticles.push(row);
  }
  const suspects = shipments.filter((shipment) => faultOf(shipment, logs.get(keyText(shipment)) ?? []) !== null);
  return {
    shipments: shipments.length,
    events,
    articles,
    differences: [
      ...(await lookAgain(tx, suspects)),
      ...(await withoutShipment(tx, 'event_without_shipment', lost)),
      ...(await withoutShipment(tx, 'article_without_shipment', lostArticles)),
    ],
  };
}

/** The events of a span by shipment, and the keys of those that are not among the shipments. */
async function eventLogs(tx: Transaction, span: KeySpan, there: ReadonlySet<string>) {
  const logs = new Map<string, ShipmentEvent[]>();
  const lost: ShipmentKey[] = [];
  let events = 0;
  for (const { event, ...owner } of await tx.run(eventsIn(span))) {
    events++;
    const key = keyText(owner);
    const log = logs.get(key);
    if (log !== undefined) log.push(event);
    else {
      logs.set(key, [event]);
      if (!there.has(key)) lost.push(owner);
    }
  }
  return { logs, events, lost };
}

/** What is wrong with a shipment and its events, null where nothing is. */
function faultOf(shipment: Shipment, events: readonly ShipmentEvent[]): 'status_differs' | 'seq_twice' | null {
  if (new Set(events.map(({ seq }) => seq)).size < events.length) return 'seq_twice';
  return isState(shipment, deriveStatus(events, shipment.createdAt)) ? null : 'status_differs';
}

const isState = (shipment: Shipment, { status, decidedBy, lastSeq, movedAt }: StatusState): boolean =>
  shipment.status === status &&
  shipment.lastSeq === lastSeq &&
  shipment.movedAt === movedAt &&
  shipment.decidedBy?.seq === decidedBy?.seq &&
  shipment.decidedBy?.code === decidedBy?.code &&
  shipment.decidedBy?.occurredAt === decidedBy?.occurredAt;

const atOnce = 500;

async function lookAgain(tx: Transaction, suspects: readonly Shipment[]): Promise<FoundDifference[]> {
  const found: FoundDifference[] = [];
  for (let i = 0; i < suspects.length; i += atOnce) {
    const part = suspects.slice(i, i + atOnce);
    const wanted = new Set(part.map(keyText));
    const again = new Map<string, { shipment: Shipment; events: ShipmentEvent[] }>();
    for (const { shipment, event } of await tx.run(
      shipmentsWithEvents(part.map((key) => ({ ...key, bucket: bucketOfShipment(key) }))),
    )) {
      const key = keyText(shipment);
      const known = again.get(key) ?? { shipment, events: [] };
      if (event !== null) known.events.push(event);
      again.set(key, known);
    }
    for (const [key, { shipment, events }] of again) {
      const kind = wanted.has(key) ? faultOf(shipment, events) : null;
      if (kind !== null) found.push({ kind, ...plainKey(shipment) });
    }
  }
  return found;
}

const plainKey = ({ trackingKey, carrierKey }: ShipmentKey): ShipmentKey => ({ trackingKey, carrierKey });

/** Those whose shipment is not there when it is looked for by its key. */
async function withoutShipment(
  tx: Transaction,
  kind: FoundDifference['kind'],
  keys: readonly ShipmentKey[],
): Promise<FoundDifference[]> {
  if (keys.length === 0) return [];
  const there = new Set((await tx.run(storedKeys(keys))).map(keyText));
  return keys.filter((key) => !there.has(keyText(key))).map((key) => ({ kind, ...plainKey(key) }));
}

/** Without its shipment a row has nothing to be copied to; events whose seqs collide are for a person. */
export const isMendable = ({ kind }: FoundDifference): boolean => kind === 'status_differs';

/** Makes the copies of differing shipments anew from their events, under their locks. @returns the keys of those that changed */
export async function mendShipments(
  tx: Transaction,
  found: readonly FoundDifference[],
  clock: Clock,
): Promise<ShipmentKey[]> {
  const keys = found.filter(isMendable);
  const mended: ShipmentKey[] = [];
  for (let i = 0; i < keys.length; i += atOnce) mended.push(...(await mendThese(tx, keys.slice(i, i + atOnce), clock)));
  return mended;
}

async function mendThese(tx: Transaction, keys: readonly ShipmentKey[], clock: Clock): Promise<ShipmentKey[]> {
  const locked = await lockAllShipments(tx, keys);
  const logs = new Map(locked.map((shipment) => [keyText(shipment), [] as ShipmentEvent[]]));
  for (const { event, ...key } of await tx.run(eventsOfShipments(keys))) logs.get(keyText(key))?.push(event);
  const now = clock.now();
  const updates = locked.flatMap((shipment) => {
    const state = deriveStatus(logs.get(keyText(shipment)) ?? [], shipment.createdAt);
    if (isState(shipment, state)) return [];
    const updatedAt = Math.max(now, shipment.updatedAt) as Instant;
    return [{ ...plainKey(shipment), ...state, version: shipment.version + 1, updatedAt }];
  });
  if (updates.length === 0) return [];
  const mended = await tx.run(updateStates(updates));
  await announceShipments(tx, mended);
  return mended;
}
