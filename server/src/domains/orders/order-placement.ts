import type { Bucket } from '../../core/bucket.ts';
import { bucketOfWay, type CustomerLayout, homeOfKey, plainLayout } from '../../core/customer-layout.ts';
import { newOrderId, type RandomBytes } from '../../core/ids.ts';
import type { Currency } from '../../core/money.ts';
import type { Instant } from '../../core/time.ts';
import { contentHashOf, keyOf, type NewOrder, type Order, type OrderKey, type PlacedKey } from './order.ts';
import { missingRows, type StatusRow, type StatusState, stateOf } from './order-status.ts';

/** A submitted order with everything decided that can be decided without the database. */
export interface PlacedOrder {
  readonly order: Order;
  readonly bucket: Bucket;
  /** How many ways the layout has that gave it its home. */
  readonly ways: number;
  readonly state: StatusState;
  readonly history: readonly StatusRow[];
  /** What a replay is recognised by; null when the client gave no name at all. */
  readonly key: PlacedKey | null;
  /** `keyIdentity` of the key, '' without one: compared so often in a batch that it is made once. */
  readonly identity: string;
  /** Where the key may stand from the customer's earlier layouts; those are never written again. */
  readonly earlierKeys: readonly PlacedKey[];
  readonly contentHash: string;
}

export interface PlacementContext {
  readonly now: Instant;
  /** When the order counts as placed: what was submitted, else now. */
  readonly placedAt: Instant;
  readonly actor: string;
  readonly defaultCurrency: Currency;
  /** The customer's layouts, oldest first; the last is written to. */
  readonly layouts: readonly CustomerLayout[];
  readonly random?: RandomBytes;
  /** For orders without a key: a number in [0, 1) that chooses the way. */
  readonly chance: number;
}

/** Gives a submitted order its id, home, total and first history. Pure but for the randomness it is given. */
export function placeOrder(input: NewOrder, requestKey: string | null, context: PlacementContext): PlacedOrder {
  const { now, placedAt, actor, layouts } = context;
  const key = keyOf(input, requestKey);
  const current = layouts[layouts.length - 1] as CustomerLayout;
  const bucket =
    key === null
      ? bucketOfWay(input.customerId, Math.floor(context.chance * current.ways))
      : homeOfKey(input.customerId, key.key, current);
  const history = firstHistory(input, placedAt, { now, actor });
  const state = stateOf(history);
  const order: Order = {
    orderId: newOrderId(placedAt, bucket, context.random),
    customerId: input.customerId,
    orderNumber: input.orderNumber,
    placedAt,
    currency: input.currency ?? context.defaultCurrency,
    total: input.total,
    itemsJson: JSON.stringify(input.items),
    status: state.status,
    statusAt: state.statusAt,
    reason: state.reason,
    version: state.lastSeq,
  };
  return {
    order,
    bucket,
    ways: current.ways,
    state,
    history,
    key: key === null ? null : { kind: key.kind, key: key.key, customerId: input.customerId, bucket },
    identity: key === null ? '' : keyIdentity({ kind: key.kind, key: key.key, customerId: input.customerId }),
    earlierKeys: key === null || layouts.length === 1 ? [] : earlierHomes(input.customerId, key, { layouts, bucket }),
    contentHash: contentHashOf(input),
  };
}

/** Where an order will stand, before it is placed; of a salted customer without a key it is a guess. */
export function likelyHome(input: NewOrder, requestKey: string | null, layouts: readonly CustomerLayout[]): Bucket {
  const key = keyOf(input, requestKey);
  return homeOfKey(input.customerId, key?.key ?? '', layouts.at(-1) ?? plainLayout);
}

/**
 * Pending since it was placed, then whatever history came with it. A history that begins before the order was placed (or that
 * comes without placed_at) has its pending at its beginning: made up here, it must not outdo what really happened.
 */
function firstHistory(input: NewOrder, placedAt: Instant, context: { now: Instant; actor: string }): StatusRow[] {
  const imported = input.statuses ?? [];
  const since = imported.reduce(
    (earliest, { occurredAt }) => (occurredAt < earliest ? occurredAt : earliest),
    placedAt,
  );
  const own = imported.find(({ status, occurredAt }) => status === 'pending' && occurredAt === since);
  const first = own ?? { status: 'pending', occurredAt: since, reason: null, eventKey: null };
  const pending: StatusRow = { ...first, seq: 1, recordedAt: context.now, actor: context.actor };
  return [pending, ...missingRows([pending], imported, context)];
}

function earlierHomes(
  customerId: string,
  key: OrderKey,
  { layouts, bucket }: { layouts: readonly CustomerLayout[]; bucket: Bucket },
): PlacedKey[] {
  const homes = new Set(layouts.slice(0, -1).map((layout) => homeOfKey(customerId, key.key, layout)));
  homes.delete(bucket);
  return [...homes].map((home) => ({ ...key, customerId, bucket: home }));
}

/** A key as one text, to compare keys within a batch. The bucket is left out: it follows from the rest and the layout. */
export const keyIdentity = (key: Pick<PlacedKey, 'customerId' | 'kind' | 'key'>): string =>
  `${key.kind}\u0000${key.customerId}\u0000${key.key}`;

/** Orders by key, so that concurrent batches claim keys in the same order and never wait for each other crosswise. */
export const byKey = (a: PlacedOrder, b: PlacedOrder): number => {
  if (a.bucket !== b.bucket) return a.bucket - b.bucket;
  return a.identity < b.identity ? -1 : a.identity > b.identity ? 1 : 0;
};
