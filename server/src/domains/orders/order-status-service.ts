import type { Bucket } from '../../core/bucket.ts';
import { DomainError } from '../../core/errors.ts';
import type { OrderId } from '../../core/ids.ts';
import { type Clock, formatInstant } from '../../core/time.ts';
import type { Database } from '../../storage/database.ts';
import type { Transaction } from '../../storage/transaction.ts';
import { announceOrders } from './order-announcement-service.ts';
import type { OrderErrorCode } from './order-errors.ts';
import { lockAll } from './order-lock-service.ts';
import {
  type Judgement,
  judgeEvent,
  nextStatuses,
  type RefusalCode,
  type StatusEvent,
  type StatusRow,
  type StatusState,
} from './order-status.ts';
import { insertStatuses, knownEvents, type StatusValues, statusValues } from './order-statuses-queries.ts';
import { updateOrderStates } from './orders-queries.ts';

/** A status that somebody reports for an order. */
export interface ReportedStatus extends StatusEvent {
  readonly orderId: OrderId;
  readonly actor: string;
}

export type StatusOutcome =
  | { readonly kind: 'not_found' }
  /** `state`: the order after this event; for `unchanged` and `replayed` as it stands. */
  | { readonly kind: 'recorded' | 'late' | 'replayed'; readonly row: StatusRow; readonly state: StatusState }
  | { readonly kind: 'unchanged'; readonly state: StatusState }
  | { readonly kind: 'refused'; readonly code: RefusalCode; readonly state: StatusState };

/**
 * Judges and records reported statuses in one transaction: locks the orders, looks up event keys, applies the events of each
 * order one after another, writes the rows, updates each order once. Outcomes in the order of the input.
 * @param near see TransactionOptions
 */
export function recordStatuses(
  { db, clock }: { readonly db: Database; readonly clock: Clock },
  events: readonly ReportedStatus[],
  near?: Bucket,
): Promise<StatusOutcome[]> {
  return db.transaction((tx) => recordIn(tx, clock, events), { near });
}

async function recordIn(tx: Transaction, clock: Clock, events: readonly ReportedStatus[]): Promise<StatusOutcome[]> {
  const ids = [...new Set(events.map(({ orderId }) => orderId))].sort();
  const states = new Map<OrderId, StatusState>((await lockAll(tx, ids)).map((row) => [row.orderId, row]));
  const known = await findKnown(tx, events);
  // The clock is read after the locks: an event without a time happens when it is its turn.
  const now = clock.now();

  const rows: StatusValues[] = [];
  const changed = new Map<OrderId, StatusState>();
  const outcomes = events.map((event): StatusOutcome => {
    const state = states.get(event.orderId);
    if (state === undefined) return { kind: 'not_found' };
    const judgement = judgeEvent(state, event, {
      now,
      actor: event.actor,
      known: known.get(identityOf(event)) ?? null,
    });
    if (judgement.kind === 'recorded' || judgement.kind === 'late') {
      rows.push(statusValues(event.orderId, judgement.row));
      states.set(event.orderId, judgement.state);
      changed.set(event.orderId, judgement.state);
      if (event.eventKey !== null) known.set(identityOf(event), judgement.row);
    }
    return outcomeOf(judgement, states.get(event.orderId) ?? state);
  });
  if (rows.length > 0) {
    await tx.run(insertStatuses(rows));
    await tx.run(updateOrderStates([...changed].map(([orderId, state]) => ({ ...state, orderId }))));
    await announceOrders(tx, [...changed.keys()]);
  }
  return outcomes;
}

const outcomeOf = (judgement: Judgement, state: StatusState): StatusOutcome =>
  judgement.kind === 'recorded' || judgement.kind === 'late'
    ? { kind: judgement.kind, row: judgement.row, state }
    : { ...judgement, state };

const identityOf = ({ orderId, eventKey }: { orderId: OrderId; eventKey: string | null }): string =>
  `${orderId} ${eventKey}`;

async function findKnown(tx: Transaction, events: readonly ReportedStatus[]): Promise<Map<string, StatusRow>> {
  const refs = events.flatMap(({ orderId, eventKey }) => (eventKey === null ? [] : [{ orderId, eventKey }]));
  if (refs.length === 0) return new Map();
  return new Map(
    (await tx.run(knownEvents(refs))).map(({ orderId, ...row }) => [
      identityOf({ orderId, eventKey: row.eventKey }),
      row,
    ]),
  );
}

const messages: Readonly<Record<RefusalCode, (state: StatusState) => string>> = {
  event_key_reused: () => 'This event_key was recorded for the order with another content.',
  version_mismatch: (state) => `The order has version ${state.lastSeq} now. Read it again and decide anew.`,
  occurred_at_in_future: () => 'occurred_at is more than 5 minutes ahead of the server.',
  reason_required: () => 'A complete order is cancelled by a refund: say why in `reason`.',
  status_conflict: (state) =>
    `The order is ${state.status} since ${formatInstant(state.statusAt)}; it can become ${nextStatuses[state.status].join(' or ') || 'nothing else'}.`,
};

/** A refusal as the error a single request answers with: `current` and `allowed` tell what would work. */
export function refusalError(code: RefusalCode, state: StatusState): DomainError<OrderErrorCode> {
  return new DomainError<OrderErrorCode>(code, messages[code](state), {
    current: state.status,
    allowed: nextStatuses[state.status],
    version: state.lastSeq,
  });
}
