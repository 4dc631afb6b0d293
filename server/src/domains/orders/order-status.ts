import { type Instant, minuteMs } from '../../core/time.ts';

export const orderStatuses = ['pending', 'complete', 'cancelled'] as const;
export type OrderStatus = (typeof orderStatuses)[number];

/** The legal moves: payment completes, a failed payment or a refund cancels; cancelled is terminal. */
export const nextStatuses = {
  pending: ['complete', 'cancelled'],
  complete: ['cancelled'],
  cancelled: [],
} as const satisfies Record<OrderStatus, readonly OrderStatus[]>;

/** An event may be this far ahead of the server's clock: clocks differ, histories do not come from the future. */
export const futureToleranceMs = 5 * minuteMs;

/** One row of an order's history. The newest by (occurredAt, seq) decides. */
export interface StatusRow {
  readonly seq: number;
  readonly status: OrderStatus;
  readonly occurredAt: Instant;
  readonly recordedAt: Instant;
  readonly reason: string | null;
  readonly actor: string;
  readonly eventKey: string | null;
}

/** What an order carries of its history: the winner's status, time and seq, and the highest seq of all rows. */
export interface StatusState {
  readonly status: OrderStatus;
  readonly statusAt: Instant;
  readonly statusSeq: number;
  readonly reason: string | null;
  readonly lastSeq: number;
}

/** A status somebody reports. Without `occurredAt` it happens now, or with the current status where that is later. */
export interface StatusEvent {
  readonly status: OrderStatus;
  readonly reason: string | null;
  readonly occurredAt: Instant | null;
  readonly eventKey: string | null;
  /** Only if the order still has this version (its last seq). */
  readonly expectedVersion: number | null;
}

export type RefusalCode =
  | 'event_key_reused'
  | 'version_mismatch'
  | 'occurred_at_in_future'
  | 'reason_required'
  | 'status_conflict';

export type Judgement =
  /** Written and decisive (`recorded`) or older than the status that decides (`late`). */
  | { readonly kind: 'recorded' | 'late'; readonly row: StatusRow; readonly state: StatusState }
  /** The order has this status already; nothing is written. */
  | { readonly kind: 'unchanged' }
  /** This very event was recorded before; nothing is written. */
  | { readonly kind: 'replayed'; readonly row: StatusRow }
  | { readonly kind: 'refused'; readonly code: RefusalCode };

export interface JudgeContext {
  readonly now: Instant;
  readonly actor: string;
  /** The row that has the event's key already, if any. */
  readonly known: StatusRow | null;
}

/** Judges one reported status against the order as it stands, in the order that design.md section 2 gives. Pure. */
export function judgeEvent(state: StatusState, event: StatusEvent, { now, actor, known }: JudgeContext): Judgement {
  if (known !== null) return isSameEvent(known, event) ? { kind: 'replayed', row: known } : refused('event_key_reused');
  if (event.expectedVersion !== null && event.expectedVersion !== state.lastSeq) return refused('version_mismatch');
  const occurredAt = event.occurredAt ?? (Math.max(now, state.statusAt) as Instant);
  if (event.occurredAt !== null && event.occurredAt > now + futureToleranceMs) return refused('occurred_at_in_future');

  const row: StatusRow = {
    seq: state.lastSeq + 1,
    status: event.status,
    occurredAt,
    recordedAt: now,
    reason: event.reason,
    actor,
    eventKey: event.eventKey,
  };
  if (occurredAt < state.statusAt) return { kind: 'late', row, state: { ...state, lastSeq: row.seq } };
  if (event.status === state.status) return { kind: 'unchanged' };
  if (!(nextStatuses[state.status] as readonly OrderStatus[]).includes(event.status)) return refused('status_conflict');
  if (state.status === 'complete' && event.reason === null) return refused('reason_required');
  return { kind: 'recorded', row, state: stateFrom(row, row.seq) };
}

const refused = (code: RefusalCode): Judgement => ({ kind: 'refused', code });

const isSameEvent = (known: StatusRow, event: StatusEvent): boolean =>
  known.status === event.status &&
  known.reason === event.reason &&
  (event.occurredAt === null || event.occurredAt === known.occurredAt);

const stateFrom = (winner: StatusRow, lastSeq: number): StatusState => ({
  status: winner.status,
  statusAt: winner.occurredAt,
  statusSeq: winner.seq,
  reason: winner.reason,
  lastSeq,
});

/** Which of two rows decides. */
const isNewer = (a: StatusRow, b: StatusRow): boolean =>
  a.occurredAt > b.occurredAt || (a.occurredAt === b.occurredAt && a.seq > b.seq);

/** What a history says: its newest row decides. @throws RangeError for an empty history */
export function stateOf(history: readonly StatusRow[]): StatusState {
  const [first, ...rest] = history;
  if (first === undefined) throw new RangeError('An order has at least one status.');
  let winner = first;
  let lastSeq = first.seq;
  for (const row of rest) {
    if (isNewer(row, winner)) winner = row;
    lastSeq = Math.max(lastSeq, row.seq);
  }
  return stateFrom(winner, lastSeq);
}

/** A row of a history that comes from somewhere else: any order, any moves. */
export interface ImportedStatus {
  readonly status: OrderStatus;
  readonly occurredAt: Instant;
  readonly reason: string | null;
  readonly eventKey: string | null;
}

/**
 * The rows of an imported history that are not in `existing` yet, with the seqs they get. A row is there already when its
 * event key is, or, without a key, when a row with the same instant and status is.
 */
export function missingRows(
  existing: readonly StatusRow[],
  imported: readonly ImportedStatus[],
  { now, actor }: Pick<JudgeContext, 'now' | 'actor'>,
): StatusRow[] {
  let seq = existing.reduce((highest, row) => Math.max(highest, row.seq), 0);
  const missing: StatusRow[] = [];
  // Histories are short (an upload brings at most 100 rows), so comparing beats building an index of them.
  for (const { status, occurredAt, reason, eventKey } of imported) {
    const isKnown = (row: StatusRow): boolean =>
      eventKey === null ? row.occurredAt === occurredAt && row.status === status : row.eventKey === eventKey;
    if (existing.some(isKnown) || missing.some(isKnown)) continue;
    missing.push({ seq: ++seq, status, occurredAt, recordedAt: now, reason, actor, eventKey });
  }
  return missing;
}
