import { type Instant, minuteMs } from '../../core/time.ts';

export const shipmentStatuses = [
  'pre_transit',
  'in_transit',
  'out_for_delivery',
  'available_for_pickup',
  'delivered',
  'exception',
  'returning',
  'returned',
  'cancelled',
  'unknown',
] as const;
export type ShipmentStatus = (typeof shipmentStatuses)[number];

/** Nothing more is expected of these; all others still travel. */
export const endedStatuses = ['delivered', 'returned', 'cancelled'] as const satisfies readonly ShipmentStatus[];

export const isEnded = (status: ShipmentStatus): boolean =>
  (endedStatuses as readonly ShipmentStatus[]).includes(status);

/** A shipment that nothing was reported of is announced and no more. */
const statusBeforeEvents: ShipmentStatus = 'pre_transit';

/** An event may be this far ahead of the server's clock. */
export const futureToleranceMs = 5 * minuteMs;

// Where the parcel itself was seen to move: labels, troubles and what nobody understands say nothing about it.
const moving: readonly ShipmentStatus[] = [
  'in_transit',
  'out_for_delivery',
  'available_for_pickup',
  'delivered',
  'returning',
  'returned',
];

/** What the status follows from. */
export interface StatusEvent {
  readonly seq: number;
  readonly code: string;
  readonly status: ShipmentStatus;
  /** Whether it begins a new leg: a return or a pick-up. */
  readonly newLeg: boolean;
  readonly occurredAt: Instant;
}

/** Which event decides. */
export interface DecidingEvent {
  readonly seq: number;
  readonly code: string;
  readonly occurredAt: Instant;
}

/** What a shipment carries of its events. */
export interface StatusState {
  readonly status: ShipmentStatus;
  readonly decidedBy: DecidingEvent | null;
  /** The highest seq of all events; 0 without any. */
  readonly lastSeq: number;
  /** The newest event in which the parcel moved, else `createdAt`. */
  readonly movedAt: Instant;
}

/**
 * What the events of a shipment say, whatever order they came in: the newest by (occurredAt, seq) decides, but
 * - delivered stays delivered until an event begins a new leg, or delivers again;
 * - an event that nobody understands never displaces one that somebody does.
 */
export function deriveStatus(events: readonly StatusEvent[], createdAt: Instant): StatusState {
  let winner: StatusEvent | null = null;
  let lastSeq = 0;
  let movedAt: Instant | null = null;
  for (const event of [...events].sort(byTime)) {
    lastSeq = Math.max(lastSeq, event.seq);
    if (moving.includes(event.status)) movedAt = event.occurredAt;
    if (displaces(event, winner)) winner = event;
  }
  return {
    status: winner?.status ?? statusBeforeEvents,
    decidedBy: winner === null ? null : { seq: winner.seq, code: winner.code, occurredAt: winner.occurredAt },
    lastSeq,
    movedAt: movedAt ?? createdAt,
  };
}

/** Whether an event decides in place of one before it. */
function displaces(event: StatusEvent, before: StatusEvent | null): boolean {
  if (before === null || before.status === 'unknown') return true;
  if (event.status === 'unknown') return false;
  return before.status !== 'delivered' || event.status === 'delivered' || event.newLeg;
}

const byTime = (a: StatusEvent, b: StatusEvent): number => a.occurredAt - b.occurredAt || a.seq - b.seq;
