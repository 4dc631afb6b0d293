import { DomainError } from '../../core/errors.ts';
import type { Clock } from '../../core/time.ts';
import type { Database } from '../../storage/database.ts';
import {
  isSameSubscription,
  type ListedSubscription,
  type Subscription,
  type SubscriptionFacts,
  type SubscriptionFilter,
} from './subscription.ts';
import {
  insertSubscription,
  registeredSubscriptions,
  subscriptionById,
  updateSubscription,
  usageOfSubscription,
  usedSubscriptions,
} from './subscriptions-queries.ts';
import type { UsageErrorCode } from './usage.ts';

export interface SubscriptionPage {
  readonly items: readonly ListedSubscription[];
  readonly next: string | null;
}

/** The registry of subscriptions. Usage of those that are not in it is taken, counted and listed all the same. */
export interface Subscriptions {
  /** Of one that was registered or has usage. @throws DomainError `subscription_not_found` */
  getSubscription(id: string): Promise<ListedSubscription>;
  /** In the order of their ids. */
  listSubscriptions(
    filter: SubscriptionFilter,
    page: { readonly after: string | null; readonly limit: number },
  ): Promise<SubscriptionPage>;
  /** The same again is a replay. @throws DomainError `subscription_exists` with other facts */
  registerSubscription(facts: SubscriptionFacts): Promise<{ subscription: Subscription; replayed: boolean }>;
  /** Registers it or replaces what is known of it. */
  replaceSubscription(facts: SubscriptionFacts): Promise<{ subscription: Subscription; created: boolean }>;
}

export function createSubscriptions({ db, clock }: { readonly db: Database; readonly clock: Clock }): Subscriptions {
  return {
    async getSubscription(id) {
      const [[registered], usage] = await Promise.all([
        db.read(subscriptionById(id)),
        db.read(usageOfSubscription(id)),
      ]);
      if (registered === undefined && usage.length === 0) throw notFound();
      return { subscriptionId: id, registered: registered ?? null, hasUsage: usage.length > 0 };
    },
    async listSubscriptions(filter, { after, limit }) {
      const walk = { after, rows: limit + 1 };
      const wantsRegistered = filter.registered !== false;
      const wantsOthers = filter.registered !== true && filter.status === null && filter.provider === null;
      const [registered, used] = await Promise.all([
        wantsRegistered ? db.query(registeredSubscriptions(filter, walk)) : [],
        wantsOthers ? db.query(usedSubscriptions(walk, { onlyUnregistered: !wantsRegistered })) : [],
      ]);
      const merged = merge(registered, used);
      const items = merged.slice(0, limit);
      return { items, next: merged.length > limit ? (items.at(-1)?.subscriptionId ?? null) : null };
    },
    async registerSubscription(facts) {
      const [created] = await db.query(insertSubscription(facts, clock.now()));
      if (created !== undefined) return { subscription: created, replayed: false };
      const [known] = await db.query(subscriptionById(facts.subscriptionId));
      if (known === undefined || !isSameSubscription(known, facts)) {
        throw new DomainError<UsageErrorCode>(
          'subscription_exists',
          'This subscription is registered with other facts. PUT replaces them.',
        );
      }
      return { subscription: known, replayed: true };
    },
    async replaceSubscription(facts) {
      // Nothing is ever taken out of the registry: who cannot insert can update.
      const [created] = await db.query(insertSubscription(facts, clock.now()));
      if (created !== undefined) return { subscription: created, created: true };
      const [updated] = await db.query(updateSubscription(facts, clock.now()));
      if (updated === undefined) throw notFound();
      return { subscription: updated, created: false };
    },
  };
}

const notFound = (): DomainError<UsageErrorCode> =>
  new DomainError<UsageErrorCode>(
    'subscription_not_found',
    'Nobody registered this subscription, and it has no usage that is rolled up.',
  );

/** Both lists hold their first rows behind the same place, so together they hold the first rows of the union. */
function merge(
  registered: readonly (Subscription & { readonly hasUsage: boolean })[],
  used: readonly { readonly subscriptionId: string }[],
): ListedSubscription[] {
  const byId = new Map<string, ListedSubscription>();
  for (const { hasUsage, ...subscription } of registered)
    byId.set(subscription.subscriptionId, {
      subscriptionId: subscription.subscriptionId,
      registered: subscription,
      hasUsage,
    });
  for (const { subscriptionId } of used)
    if (!byId.has(subscriptionId)) byId.set(subscriptionId, { subscriptionId, registered: null, hasUsage: true });
  // By bytes, as the database sorts: UTF-16 units would put U+FFFD behind an emoji.
  return [...byId.values()].sort((a, b) =>
    Buffer.compare(Buffer.from(a.subscriptionId), Buffer.from(b.subscriptionId)),
  );
}
