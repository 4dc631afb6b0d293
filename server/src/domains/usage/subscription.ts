import type { Instant } from '../../core/time.ts';

export const subscriptionStatuses = ['new', 'active', 'suspended', 'expired'] as const;
export type SubscriptionStatus = (typeof subscriptionStatuses)[number];

/** What is known of a subscription beside its usage. Usage is taken and counted whatever the status. */
export interface SubscriptionFacts {
  readonly subscriptionId: string;
  readonly provider: string | null;
  readonly status: SubscriptionStatus;
  readonly plan: string | null;
}

export interface Subscription extends SubscriptionFacts {
  readonly createdAt: Instant;
  readonly updatedAt: Instant;
}

/** A subscription of the list: one that was registered, has usage, or both. */
export interface ListedSubscription {
  readonly subscriptionId: string;
  /** null = nobody registered it; its usage is counted all the same */
  readonly registered: Subscription | null;
  /** Whether it has usage that is rolled up. */
  readonly hasUsage: boolean;
}

/** What a list selects by; null = either way. A status or a provider selects registered ones. */
export interface SubscriptionFilter {
  readonly registered: boolean | null;
  readonly status: SubscriptionStatus | null;
  readonly provider: string | null;
}

/** Whether two say the same. */
export const isSameSubscription = (a: SubscriptionFacts, b: SubscriptionFacts): boolean =>
  a.subscriptionId === b.subscriptionId && a.provider === b.provider && a.status === b.status && a.plan === b.plan;
