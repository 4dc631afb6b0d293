import type { Command } from 'commander';
import { subscriptionStatuses } from '../../domains/usage/subscription.ts';
import { toSubscriptionDocument } from '../../http/usage-representation.ts';
import { describedCommand, does } from '../command.ts';
import { type CliContext, withApp } from '../context.ts';
import { UsageError } from '../stopped.ts';
import { values } from '../values.ts';

interface Options {
  readonly status?: string;
  readonly provider?: string;
  readonly registered?: boolean;
  readonly unregistered?: boolean;
  readonly limit: string;
  readonly after?: string;
}

/** `milliard usage subscriptions` */
export const usageSubscriptionsCommand = (context: CliContext): Command =>
  does<Options>(
    describedCommand('subscriptions', {
      description: 'A page of the subscriptions: those of the registry, and those that only have usage.',
      examples: [
        ['milliard usage subscriptions --status suspended', 'registered and suspended'],
        ['milliard usage subscriptions --unregistered --json', 'whose usage nobody registered a subscription for'],
      ],
    })
      .option('--status <status>', `only registered ones with this status: ${subscriptionStatuses.join(', ')}`)
      .option('--provider <provider>', 'only registered ones of this provider')
      .option('--registered', 'only those of the registry')
      .option('--unregistered', 'only those that are not in it')
      .option('--limit <rows>', 'at most so many, 1 to 500', '20')
      .option('--after <subscription>', 'go on behind this subscription'),
    context,
    async (run, options) => {
      const limit = values.integer('--limit', options.limit, [1, 500]);
      const filter = readFilter(options);
      const page = await withApp(run, 'usage subscriptions', ({ usage }) =>
        usage.listSubscriptions(filter, { after: options.after ?? null, limit }),
      );
      for (const item of page.items) await run.output.record(toSubscriptionDocument(item));
      if (run.output.json) return undefined;
      if (page.items.length === 0) run.output.say('There is no such subscription.');
      else
        run.output.table(
          ['SUBSCRIPTION', 'STATUS', 'PROVIDER', 'PLAN', 'USAGE'],
          page.items.map(({ subscriptionId, registered, hasUsage }) => [
            subscriptionId,
            registered?.status ?? 'not registered',
            registered?.provider ?? '',
            registered?.plan ?? '',
            hasUsage ? 'yes' : 'none',
          ]),
        );
      if (page.next !== null) run.output.note(`More: --after ${page.next}`);
      return undefined;
    },
  );

/** @throws UsageError */
function readFilter({ status, provider, registered, unregistered }: Options) {
  if (unregistered === true && (registered === true || status !== undefined || provider !== undefined))
    throw new UsageError('--unregistered stands alone: only registered ones have a status or a provider.');
  return {
    registered: unregistered === true ? false : registered === true ? true : null,
    status: status === undefined ? null : values.choice('--status', status, subscriptionStatuses),
    provider: provider ?? null,
  };
}
