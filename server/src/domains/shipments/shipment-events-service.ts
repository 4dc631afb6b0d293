import type { Bucket } from '../../core/bucket.ts';
import type { Clock, Instant } from '../../core/time.ts';
import type { Database } from '../../storage/database.ts';
import { writeHalving } from '../../storage/halving.ts';
import type { Transaction, TransactionOptions } from '../../storage/transaction.ts';
import type { NewEvent, Shipment, ShipmentEvent } from './shipment.ts';
import { announceShipments } from './shipment-announcement-service.ts';
import { type ShipmentsChanged, tellChange } from './shipment-change.ts';
import { type EventJudgement, type EventLog, eventLog, judgeEvent } from './shipment-events.ts';
import { lockAllShipments } from './shipment-lock-service.ts';
import { eventsOfShipments, insertEvents, type Owned, updateStates } from './shipment-store-queries.ts';
import { bucketOfShipment, byShipmentKey, keyText, type ShipmentKey } from './tracking-key.ts';

/** An event that somebody reports of a shipment. */
export interface EventToRecord {
  readonly key: ShipmentKey;
  readonly event: NewEvent;
  readonly actor: string;
}

export type EventOutcome =
  | { readonly kind: 'not_found' }
  /** `event`: the row under which it stands. `shipment`: as it stands after the whole batch. */
  | { readonly kind: 'recorded' | 'late' | 'replayed'; readonly event: ShipmentEvent; readonly shipment: Shipment }
  | { readonly kind: 'refused'; readonly code: 'occurred_at_in_future' | 'event_refused' };

export interface EventRecorderDeps {
  readonly db: Database;
  readonly clock: Clock;
  readonly onChange?: ShipmentsChanged;
}

export interface EventRecorder {
  /**
   * Judges and records events in one transaction; outcomes in the order of the input.
   * @param options `isolate`: halves until a row that the database refuses stands alone; `throw`: nothing is stored then
   */
  record(events: readonly EventToRecord[], options: RecordOptions): Promise<EventOutcome[]>;
}

export interface RecordOptions extends Pick<TransactionOptions, 'near'> {
  readonly badRows: 'isolate' | 'throw';
}

const refused: EventOutcome = { kind: 'refused', code: 'event_refused' };

export function createEventRecorder({ db, clock, onChange }: EventRecorderDeps): EventRecorder {
  const write = async (events: readonly EventToRecord[], near?: Bucket): Promise<EventOutcome[]> => {
    // An event with a time is recognised when it comes again; one without would be recorded twice.
    const idempotent = events.every(({ event }) => event.occurredAt !== null);
    const record = (tx: Transaction) => recordEventsIn(tx, clock, events);
    const { outcomes, changed } = await db.transaction(record, { idempotent, near });
    await tellChange(onChange, changed);
    return outcomes;
  };
  return {
    async record(events, { badRows, near }) {
      if (events.length === 0) return [];
      return badRows === 'throw'
        ? write(events, near)
        : writeHalving(
            events,
            (part) => write(part),
            () => refused,
          );
    },
  };
}

/** A shipment that is locked, with its events as they grow. */
interface OpenShipment {
  readonly shipment: Shipment;
  log: EventLog;
}

/**
 * The same in a transaction of the caller's: locks the shipments, loads their events in a later statement, applies those of each
 * shipment one after another, writes the rows, updates each shipment once.
 * @returns the outcomes, and the keys of the shipments that got an event
 */
export async function recordEventsIn(
  tx: Transaction,
  clock: Clock,
  events: readonly EventToRecord[],
): Promise<{ outcomes: EventOutcome[]; changed: ShipmentKey[] }> {
  const keys = new Map(events.map(({ key }) => [keyText(key), key]));
  const open = await openShipments(tx, [...keys.values()].sort(byShipmentKey));
  // The clock is read after the locks: an event without a time happens when it is its turn.
  const now = clock.now();

  const rows: Owned<ShipmentEvent>[] = [];
  const judgements = events.map(({ key, event, actor }): EventJudgement | null => {
    const found = open.get(keyText(key));
    if (found === undefined) return null;
    const judgement = judgeEvent(found.log, event, { now, actor });
    if (judgement.kind === 'recorded' || judgement.kind === 'late') {
      found.log = judgement.log;
      rows.push({ key, bucket: bucketOfShipment(key), row: judgement.event });
    }
    return judgement;
  });
  const changed = await store(tx, open, { rows, now });
  const outcomes = events.map(({ key }, i): EventOutcome => {
    const judgement = judgements[i];
    const shipment = changed.get(keyText(key)) ?? open.get(keyText(key))?.shipment;
    if (judgement == null || shipment === undefined) return { kind: 'not_found' };
    return judgement.kind === 'refused' ? judgement : { kind: judgement.kind, event: judgement.event, shipment };
  });
  return { outcomes, changed: [...changed.values()] };
}

async function openShipments(tx: Transaction, keys: readonly ShipmentKey[]): Promise<Map<string, OpenShipment>> {
  const locked = await lockAllShipments(tx, keys);
  const logs = new Map<string, ShipmentEvent[]>(locked.map((shipment) => [keyText(shipment), []]));
  if (locked.length > 0)
    for (const { event, ...key } of await tx.run(eventsOfShipments(locked))) logs.get(keyText(key))?.push(event);
  return new Map(
    locked.map((shipment) => {
      const key = keyText(shipment);
      return [key, { shipment, log: eventLog(logs.get(key) ?? [], shipment.createdAt) }];
    }),
  );
}

/** @returns the shipments that got an event, as they stand now, by key */
async function store(
  tx: Transaction,
  open: ReadonlyMap<string, OpenShipment>,
  { rows, now }: { readonly rows: readonly Owned<ShipmentEvent>[]; readonly now: Instant },
): Promise<Map<string, Shipment>> {
  const changed = new Map<string, Shipment>();
  for (const { key } of rows) {
    const found = open.get(keyText(key));
    if (found === undefined) continue;
    const { shipment, log } = found;
    const updatedAt = Math.max(now, shipment.updatedAt) as Instant;
    changed.set(keyText(key), { ...shipment, ...log.state, version: shipment.version + 1, updatedAt });
  }
  if (rows.length > 0) {
    await tx.run(insertEvents(rows));
    await tx.run(updateStates([...changed.values()]));
    await announceShipments(tx, [...changed.values()]);
  }
  return changed;
}
