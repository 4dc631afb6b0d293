import { DomainError } from '../../core/errors.ts';
import type { Currency } from '../../core/money.ts';
import type { Clock } from '../../core/time.ts';
import { type Caches, noCaches } from '../../storage/cache/caches.ts';
import type { Database } from '../../storage/database.ts';
import { StorageError } from '../../storage/faults.ts';
import { createWriteQueue, type WriteQueueDeps } from '../../storage/group-commit.ts';
import { oneNode } from '../../storage/node-map.ts';
import type { Shipment, ShipmentDetail, ShipmentErrorCode } from './shipment.ts';
import type { ShipmentOutcome } from './shipment-batch-service.ts';
import type { ShipmentsChanged } from './shipment-change.ts';
import {
  createEventRecorder,
  type EventOutcome,
  type EventRecorder,
  type EventToRecord,
} from './shipment-events-service.ts';
import { createShipmentImports, type ShipmentImports } from './shipment-imports-service.ts';
import { createShipmentLookUps, type ShipmentLookUps } from './shipment-look-up-service.ts';
import { createShipmentReads, type ShipmentReads, scannedRowsOfShards } from './shipment-read-service.ts';
import { createShipmentWriter, type ShipmentToWrite, type ShipmentWriter } from './shipment-write-service.ts';
import { bucketOfShipment } from './tracking-key.ts';

export interface ShipmentsDeps extends WriteQueueDeps {
  readonly db: Database;
  readonly clock: Clock;
  readonly defaultCurrency: Currency;
  /** Told after each commit which shipments it made or changed, before their writers are answered. Must not throw. */
  readonly onChange?: ShipmentsChanged;
  /** Left out: every look-up asks the database. */
  readonly caches?: Caches;
}

/** What became of one shipment that was sent. */
export interface CreatedShipment {
  readonly shipment: ShipmentDetail;
  readonly replayed: boolean;
}

/** What became of one event that was reported, with the shipment as it stands after it. */
export interface RecordedEvent {
  /** `late`: recorded, and another event decides. `replayed`: it was recorded before. */
  readonly outcome: 'recorded' | 'late' | 'replayed';
  /** The seq under which it stands. */
  readonly seq: number;
  readonly shipment: Shipment;
}

export interface Shipments extends ShipmentReads, ShipmentLookUps {
  /** Through group commit. @throws DomainError `shipment_key_reused`, `occurred_at_in_future`, `shipment_refused` */
  createShipment(shipment: ShipmentToWrite): Promise<CreatedShipment>;
  /** Through group commit. @throws DomainError `shipment_not_found`, `occurred_at_in_future`, `event_refused` */
  recordEvent(event: EventToRecord): Promise<RecordedEvent>;
  /** Many events in one transaction; one that the database refuses is refused alone. Outcomes in the order of the input. */
  recordEvents(events: readonly EventToRecord[]): Promise<EventOutcome[]>;
  /** Many shipments in one transaction: bulk requests. */
  readonly writer: ShipmentWriter;
  /** Shipments that come as rows, one an article. */
  readonly imports: ShipmentImports;
  /** Writes that wait for their transaction, by queue. */
  queued(): { readonly shipments: number; readonly events: number };
  /** Takes no more single writes and waits for those it took. */
  drain(): Promise<void>;
}

export function createShipments(given: ShipmentsDeps): Shipments {
  const isOneNode = given.nodes === undefined || given.nodes === oneNode;
  const reads = createShipmentReads(isOneNode ? given : { ...given, scannedRows: scannedRowsOfShards });
  const lookUps = createShipmentLookUps(given.caches ?? noCaches, reads.findShipment);
  const onChange: ShipmentsChanged = (keys) => {
    lookUps.forgetShipments(keys);
    return given.onChange?.(keys);
  };
  const deps = { ...given, onChange };
  const written = createShipmentWriter(deps);
  const recorded = createEventRecorder(deps);
  // Replays are forgotten too: perhaps the commit that stored them was lost from sight, and nobody was told here.
  const writer: ShipmentWriter = {
    async write(shipments, options) {
      const outcomes = await written.write(shipments, options);
      lookUps.forgetShipments(outcomes.flatMap((outcome) => (outcome.kind === 'replayed' ? [outcome.key] : [])));
      return outcomes;
    },
  };
  const recorder: EventRecorder = {
    async record(events, options) {
      const outcomes = await recorded.record(events, options);
      lookUps.forgetShipments(outcomes.flatMap((outcome) => (outcome.kind === 'replayed' ? [outcome.shipment] : [])));
      return outcomes;
    },
  };
  const shipmentQueue = createWriteQueue<ShipmentToWrite, ShipmentOutcome>(deps, {
    name: 'shipments',
    // The queue halves: it knows which callers already have their answer, so no half is ever written twice.
    commit: (rows, near) => writer.write(rows, { by: 'insert', badRows: 'throw', near }),
    bucketOf: ({ shipment }) => bucketOfShipment(shipment),
  });
  const eventQueue = createWriteQueue<EventToRecord, EventOutcome>(deps, {
    name: 'shipment events',
    commit: (events, near) => recorder.record(events, { badRows: 'throw', near }),
    bucketOf: ({ key }) => bucketOfShipment(key),
  });

  return {
    ...reads,
    ...lookUps,
    writer,
    imports: createShipmentImports(deps),
    async createShipment(shipment) {
      const outcome = await shipmentQueue.write(shipment).catch(refusing('shipment_refused'));
      if (outcome.kind === 'created') return { shipment: outcome.shipment, replayed: false };
      if (outcome.kind === 'replayed') return { shipment: await reads.getShipment(outcome.key), replayed: true };
      throw refusal(outcome.code);
    },
    async recordEvent(event) {
      const outcome = await eventQueue.write(event).catch(refusing('event_refused'));
      if (outcome.kind === 'not_found') throw refusal('shipment_not_found');
      if (outcome.kind === 'refused') throw refusal(outcome.code);
      return { outcome: outcome.kind, seq: outcome.event.seq, shipment: outcome.shipment };
    },
    recordEvents: (events) => recorder.record(events, { badRows: 'isolate' }),
    queued: () => ({ shipments: shipmentQueue.queued(), events: eventQueue.queued() }),
    async drain() {
      await Promise.all([shipmentQueue.drain(), eventQueue.drain()]);
    },
  };
}

/** A row that the database refuses is the sender's affair, not a fault of the database. */
const refusing =
  (code: 'shipment_refused' | 'event_refused') =>
  (error: unknown): never => {
    if (error instanceof StorageError && error.fault?.kind === 'data') throw refusal(code);
    throw error;
  };

/** Why a shipment or an event was refused, in a sentence for whoever sent it. */
export const shipmentRefusals = {
  shipment_not_found: 'There is no shipment of this carrier with this tracking number.',
  shipment_key_reused:
    'This carrier and tracking number belong to a shipment that was sent with another content, or that came with an import.',
  occurred_at_in_future: 'occurred_at is more than 5 minutes ahead of the server.',
  shipment_refused: 'The database refused this shipment.',
  event_refused: 'The database refused this event.',
} as const satisfies Record<ShipmentErrorCode, string>;

const refusal = (code: ShipmentErrorCode): DomainError<ShipmentErrorCode> =>
  new DomainError<ShipmentErrorCode>(code, shipmentRefusals[code]);
