import { z } from 'zod';
import { storableText } from '../../core/validation.ts';
import { type SubscriptionFacts, subscriptionStatuses } from './subscription.ts';

const fields = {
  provider: storableText(200).nullish().meta({ description: 'Who provides it, in your words.' }),
  status: z.enum(subscriptionStatuses).default('new').meta({ description: 'Usage is counted whatever it is.' }),
  plan: storableText(200).nullish(),
};

/** What a subscription is replaced by: its id stands in the path. */
export const subscriptionReplacement = z
  .strictObject(fields)
  .transform(({ provider, status, plan }) => ({ provider: provider ?? null, status, plan: plan ?? null }));

/** A subscription to register. */
export const subscriptionSubmission = z.strictObject({ subscription_id: storableText(200), ...fields }).transform(
  ({ subscription_id, provider, status, plan }): SubscriptionFacts => ({
    subscriptionId: subscription_id,
    provider: provider ?? null,
    status,
    plan: plan ?? null,
  }),
);
