import { homeOfKey } from '../../core/customer-layout.ts';
import { DomainError } from '../../core/errors.ts';
import type { OrderId } from '../../core/ids.ts';
import type { Clock } from '../../core/time.ts';
import type { CustomerLayouts } from '../../storage/customer-layouts.ts';
import type { Database } from '../../storage/database.ts';
import { writeHalving } from '../../storage/halving.ts';
import type { PlacedKey } from './order.ts';
import type { OrderErrorCode } from './order-errors.ts';
import { selectOrderKeys } from './order-keys-queries.ts';
import { orderNotFound } from './order-read-service.ts';
import type { OrderStatus } from './order-status.ts';
import { type ReportedStatus, recordStatuses, refusalError, type StatusOutcome } from './order-status-service.ts';
import type { OrderReference, ReferencedStatus } from './order-status-submission.ts';

/** A status of an order that is named by id or number, with who reports it. */
export interface StatusReport extends ReferencedStatus {
  readonly actor: string;
}

/** What became of one report. `status` is the order's after it. */
export type ReportOutcome =
  | {
      readonly kind: 'recorded' | 'late' | 'unchanged' | 'replayed';
      readonly orderId: OrderId;
      readonly status: OrderStatus;
    }
  | { readonly kind: 'refused'; readonly orderId: OrderId | null; readonly error: DomainError<OrderErrorCode> };

export interface StatusReportDeps {
  readonly db: Database;
  readonly clock: Clock;
  readonly layouts: CustomerLayouts;
}

/**
 * Judges and records reports of many orders in one transaction, those of one order one after another in the order of the input,
 * by the rules of a single report. Only rows that the database itself refuses are split off. Outcomes in the order of the input.
 */
export async function recordReports(
  deps: StatusReportDeps,
  reports: readonly StatusReport[],
): Promise<ReportOutcome[]> {
  const idOf = await resolve(deps, reports);
  const outcomes: (ReportOutcome | undefined)[] = reports.map(() => undefined);
  const found: { readonly place: number; readonly event: ReportedStatus }[] = [];
  for (const [place, { reference, event, actor }] of reports.entries()) {
    const orderId = idOf(reference);
    if (orderId === null) outcomes[place] = notFound(reference);
    else found.push({ place, event: { ...event, orderId, actor, expectedVersion: null } });
  }
  const recorded = await writeHalving<ReportedStatus, ReportOutcome>(
    found.map(({ event }) => event),
    async (events) =>
      events.length === 0 ? [] : (await recordStatuses(deps, events)).map((outcome, i) => told(events[i], outcome)),
    ({ orderId }) => ({ kind: 'refused', orderId, error: rowRefused() }),
  );
  for (const [i, { place }] of found.entries()) outcomes[place] = recorded[i];
  return outcomes.map((outcome) => {
    if (outcome === undefined) throw new RangeError('Every report has an outcome.');
    return outcome;
  });
}

function told(event: ReportedStatus | undefined, outcome: StatusOutcome): ReportOutcome {
  if (event === undefined) throw new RangeError('Every outcome has its report.');
  const { orderId } = event;
  if (outcome.kind === 'not_found') return notFound({ orderId });
  if (outcome.kind === 'refused') {
    return { kind: 'refused', orderId, error: refusalError(outcome.code, outcome.state) };
  }
  return { kind: outcome.kind, orderId, status: outcome.state.status };
}

const rowRefused = () => new DomainError<OrderErrorCode>('row_refused', 'The database refused this status.');

function notFound(reference: OrderReference): ReportOutcome {
  if ('orderId' in reference) return { kind: 'refused', orderId: null, error: orderNotFound(reference.orderId) };
  const { customerId, orderNumber } = reference;
  const message = `Customer ${customerId} has no order with the number ${orderNumber}.`;
  return { kind: 'refused', orderId: null, error: new DomainError<OrderErrorCode>('order_not_found', message) };
}

const nameOf = (customerId: string, orderNumber: string): string => JSON.stringify([customerId, orderNumber]);

/** Looks up all order numbers in one statement, each under every layout its customer ever had. Keys never change, so this need not share the transaction. */
async function resolve(
  { db, layouts }: StatusReportDeps,
  reports: readonly StatusReport[],
): Promise<(reference: OrderReference) => OrderId | null> {
  const keys = new Map<string, PlacedKey>();
  for (const { reference } of reports) {
    if ('orderId' in reference) continue;
    const { customerId, orderNumber: key } = reference;
    for (const layout of layouts.readableLayoutsOf(customerId)) {
      const bucket = homeOfKey(customerId, key, layout);
      keys.set(`${bucket} ${nameOf(customerId, key)}`, { kind: 'number', key, customerId, bucket });
    }
  }
  const rows = keys.size === 0 ? [] : await db.query(selectOrderKeys([...keys.values()]));
  const ids = new Map(rows.map(({ customerId, key, orderId }) => [nameOf(customerId, key), orderId]));
  return (reference) =>
    'orderId' in reference ? reference.orderId : (ids.get(nameOf(reference.customerId, reference.orderNumber)) ?? null);
}
