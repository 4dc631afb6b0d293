import type { Instant } from '../../core/time.ts';
import { countryOf } from './country.ts';
import type { NewEvent, ShipmentEvent } from './shipment.ts';
import { deriveStatus, futureToleranceMs, type StatusState } from './shipment-status.ts';
import { statusOfCode } from './shipment-status-codes.ts';

/** The events of one shipment while a batch adds to them. */
export interface EventLog {
  /** In the order of seq. */
  readonly events: readonly ShipmentEvent[];
  readonly state: StatusState;
  readonly createdAt: Instant;
}

export type EventJudgement =
  /** `late`: it is written, and another event decides. */
  | { readonly kind: 'recorded' | 'late'; readonly event: ShipmentEvent; readonly log: EventLog }
  /** The same instant and code were recorded before; nothing is written. */
  | { readonly kind: 'replayed'; readonly event: ShipmentEvent }
  | { readonly kind: 'refused'; readonly code: 'occurred_at_in_future' };

export const eventLog = (events: readonly ShipmentEvent[], createdAt: Instant): EventLog => ({
  events,
  state: deriveStatus(events, createdAt),
  createdAt,
});

/** Judges one reported event against those that stand: known, then from the future, else recorded. Pure. */
export function judgeEvent(
  log: EventLog,
  reported: NewEvent,
  { now, actor }: { readonly now: Instant; readonly actor: string },
): EventJudgement {
  const known = log.events.find(({ occurredAt, code }) => occurredAt === reported.occurredAt && code === reported.code);
  if (known !== undefined) return { kind: 'replayed', event: known };
  if (reported.occurredAt !== null && reported.occurredAt > now + futureToleranceMs)
    return { kind: 'refused', code: 'occurred_at_in_future' };
  const { status, newLeg } = statusOfCode(reported.code);
  const event: ShipmentEvent = {
    seq: log.state.lastSeq + 1,
    code: reported.code,
    status,
    newLeg,
    occurredAt: reported.occurredAt ?? happensNow(log, now),
    recordedAt: now,
    description: reported.description,
    city: reported.city,
    country: reported.country === null ? null : (countryOf(reported.country) ?? reported.country),
    actor,
  };
  const next = eventLog([...log.events, event], log.createdAt);
  return { kind: next.state.decidedBy?.seq === event.seq ? 'recorded' : 'late', event, log: next };
}

/** Now, and behind all that happened: who reports without a time means the latest. */
function happensNow({ events }: EventLog, now: Instant): Instant {
  let at: number = now;
  for (const { occurredAt } of events) at = Math.max(at, occurredAt + 1);
  return at as Instant;
}
