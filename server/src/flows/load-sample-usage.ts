import { type Day, dayOf } from '../core/days.ts';
import type { Clock } from '../core/time.ts';
import { createUsageMaker } from '../domains/usage/usage-generator.ts';
import type { Usage } from '../domains/usage/usage-service.ts';

const days = 7;
const subscriptions = 100;
const records = 5_000;

/**
 * Makes some usage of the past week in a database that has none, and sums it up. All of it or none: it is one part of one
 * transaction; and it has a key, so that two servers that start at once make it once.
 */
export async function loadSampleUsage(
  { usage, clock }: { readonly usage: Usage; readonly clock: Clock },
  { report }: { readonly report: (text: string) => void },
): Promise<void> {
  // What somebody sent and nobody has summed up yet is usage too.
  await usage.rollup.once();
  if ((await findUsedSubscription(usage)) !== null) return;
  const lastDay = (dayOf(clock.now()) - 1) as Day;
  const { rawFrom } = await usage.horizon();
  const kept = Math.min(days, lastDay - rawFrom + 1);
  if (kept <= 0) return;
  const make = createUsageMaker({ seed: 1, subscriptions, lastDay, days: kept });
  let accepted = 0;
  const options = { format: 'csv', actor: 'sample', producerKey: `sample-${lastDay}` } as const;
  for await (const part of usage.importBytes(once(make(1, records)), options)) {
    if (!part.replayed) accepted += part.accepted;
  }
  await usage.rollup.once();
  if (accepted > 0)
    report(`loaded ${accepted.toLocaleString('en')} sample records of usage of ${subscriptions} subscriptions`);
}

async function* once(bytes: Buffer): AsyncGenerator<Buffer> {
  yield bytes;
}

/** A subscription with usage, for examples; null = there is none. */
export async function findUsedSubscription(usage: Pick<Usage, 'listSubscriptions'>): Promise<string | null> {
  const { items } = await usage.listSubscriptions(
    { registered: null, status: null, provider: null },
    { after: null, limit: 50 },
  );
  return items.find(({ hasUsage }) => hasUsage)?.subscriptionId ?? null;
}
