import { z } from 'zod';
import { formatDay } from '../core/days.ts';
import { formatInstant, type Instant } from '../core/time.ts';
import { type ListedSubscription, subscriptionStatuses } from '../domains/usage/subscription.ts';
import type { OverLimit, UsageSum } from '../domains/usage/usage-read.ts';

import type { LedgerEntry, UsageStatus } from '../domains/usage/usage-status-service.ts';

const amount = (description: string) => z.string().meta({ pattern: '^-?\\d+\\.\\d{2,6}$', description });
const moment = (description: string) => z.string().meta({ format: 'date-time', description });
const day = (description: string) => z.string().meta({ format: 'date', description });

const pageFields = {
  as_of: moment('Everything that was acknowledged before this moment is counted; with fresh=true that is now.'),
  next_cursor: z.string().nullable(),
  next: z.string().nullable().meta({ description: 'Where the next page is, as a URL reference.' }),
};

export const overLimitSchema = z
  .object({
    subscription_id: z.string(),
    exceeded: z.array(
      z.object({
        usage_type: z.string(),
        total_price: amount('An exact decimal.'),
        exceeded_by: amount('total_price less price_limit; "0.00" when it is just reached.'),
      }),
    ),
  })
  .meta({ id: 'OverLimit' });

export const overLimitPageSchema = z
  .object({
    price_limit: z.string().meta({ description: 'As it was asked for.' }),
    items: z.array(overLimitSchema),
    ...pageFields,
  })
  .meta({
    id: 'OverLimitPage',
    examples: [
      {
        price_limit: '12.34',
        items: [
          {
            subscription_id: 'SUB789',
            exceeded: [
              { usage_type: 'data', total_price: '15.00', exceeded_by: '2.66' },
              { usage_type: 'voice', total_price: '12.34', exceeded_by: '0.00' },
            ],
          },
        ],
        as_of: '2026-06-30T12:30:00.000Z',
        next_cursor: null,
        next: null,
      },
    ],
  });

export const toOverLimitDocument = ({ subscriptionId, exceeded }: OverLimit): z.output<typeof overLimitSchema> => ({
  subscription_id: subscriptionId,
  exceeded: exceeded.map(({ usageType, totalPrice, exceededBy }) => ({
    usage_type: usageType,
    total_price: totalPrice,
    exceeded_by: exceededBy,
  })),
});

export const usageSumSchema = z
  .object({
    subscription_id: z.string(),
    usage_type: z.string(),
    day: day('Only with group_by=day.').optional(),
    total_price: amount('An exact decimal.'),
    total_used: z.string().meta({
      pattern: '^-?\\d+$',
      description:
        'In the unit of the type. Text, because a sum may pass 2^63. Never added to the units of another type.',
    }),
    records: z.int().meta({ description: 'How many records it is the sum of.' }),
  })
  .meta({
    id: 'UsageSum',
    examples: [
      { subscription_id: 'SUB789', usage_type: 'data', total_price: '12.34', total_used: '51200', records: 42 },
    ],
  });

export const metricsPageSchema = z.object({ items: z.array(usageSumSchema), ...pageFields }).meta({ id: 'UsagePage' });

export const toSumDocument = (sum: UsageSum): z.output<typeof usageSumSchema> => ({
  subscription_id: sum.subscriptionId,
  usage_type: sum.usageType,
  ...(sum.day === null ? {} : { day: formatDay(sum.day) }),
  total_price: sum.totalPrice,
  total_used: sum.totalUsed,
  records: Number(sum.records),
});

export const usageStatusSchema = z
  .object({
    as_of: moment('Everything that was acknowledged before this moment is in the sums.'),
    open_batches: z.int().meta({ description: 'Stored and not rolled up yet.' }),
    open_rows: z.string().meta({ pattern: '^\\d+$' }),
    oldest_open_at: moment('When the oldest of these was made.').nullable(),
    lag_seconds: z.number().meta({ description: 'Its age; 0 when there is none.' }),
    horizon: z.object({
      raw_from: day('The first UTC day that takes raw usage; earlier ones are refused as too_old.'),
      dropped_before: day('Raw rows of the days before were dropped for good.').nullable(),
    }),
    raw_days: z.array(z.string()).meta({ description: 'UTC days that have raw records, the latest 400 at most.' }),
  })
  .meta({ id: 'UsageStatus' });

export const toStatusDocument = (status: UsageStatus): z.output<typeof usageStatusSchema> => ({
  as_of: formatInstant(status.asOf),
  open_batches: status.openBatches,
  open_rows: String(status.openRows),
  oldest_open_at: orNull(status.oldestOpenAt),
  lag_seconds: status.lagMs / 1_000,
  horizon: {
    raw_from: formatDay(status.horizon.rawFrom),
    dropped_before: status.horizon.droppedBefore === null ? null : formatDay(status.horizon.droppedBefore),
  },
  raw_days: status.rawDays.map(formatDay),
});

const orNull = (at: Instant | null): string | null => (at === null ? null : formatInstant(at));

export const batchSchema = z
  .object({
    batch_id: z.string(),
    kind: z.enum(['records', 'adjustments', 'direct']),
    part: z.int().meta({ description: 'Which part of an upload it is, counted from 1.' }),
    rows: z.int().meta({ description: 'Records or adjustments that it stored.' }),
    first_day: day('Of the UTC days that its rows may lie in.').nullable(),
    last_day: day('Of the UTC days that its rows may lie in.').nullable(),
    created_at: moment('When it was made.'),
    rolled_up: z.boolean().meta({ description: 'Whether the sums have it.' }),
    rolled_up_at: moment('Since when they have it.').nullable(),
    outcome: z
      .object({
        accepted: z.int(),
        duplicates: z.int(),
        rejected_rows: z.int(),
        rejected: z.array(z.object({ line: z.int(), code: z.string(), detail: z.string() })),
      })
      .nullable()
      .meta({ description: 'As its sender was told; null where that is not kept (single records without a key).' }),
  })
  .meta({ id: 'UsageBatch' });

export const toBatchDocument = (batch: LedgerEntry): z.output<typeof batchSchema> => ({
  batch_id: String(batch.batchId),
  kind: batch.kind,
  part: batch.part,
  rows: batch.rows,
  first_day: batch.firstDay,
  last_day: batch.lastDay,
  created_at: formatInstant(batch.createdAt),
  rolled_up: batch.rolledUpAt !== null,
  rolled_up_at: orNull(batch.rolledUpAt),
  outcome:
    batch.outcome === null
      ? null
      : {
          accepted: batch.outcome.accepted,
          duplicates: batch.outcome.duplicates,
          rejected_rows: batch.outcome.rejectedRows,
          rejected: [...batch.outcome.rejected],
        },
});

export const subscriptionSchema = z
  .object({
    subscription_id: z.string(),
    registered: z.boolean().meta({ description: 'false: nobody registered it; its usage is counted all the same.' }),
    has_usage: z.boolean().meta({ description: 'Whether it has usage that is rolled up.' }),
    provider: z.string().nullable(),
    status: z.enum(subscriptionStatuses).nullable().meta({ description: 'null: it is not registered.' }),
    plan: z.string().nullable(),
    created_at: moment('When it was registered.').nullable(),
    updated_at: moment('When that was changed last.').nullable(),
  })
  .meta({
    id: 'Subscription',
    examples: [
      {
        subscription_id: 'SUB789',
        registered: true,
        has_usage: true,
        provider: 'north-mobile',
        status: 'active',
        plan: 'data-50',
        created_at: '2026-01-31T12:30:00.000Z',
        updated_at: '2026-06-30T12:30:00.000Z',
      },
    ],
  });

export const subscriptionPageSchema = z
  .object({ items: z.array(subscriptionSchema), next_cursor: z.string().nullable(), next: z.string().nullable() })
  .meta({ id: 'SubscriptionPage' });

export const toSubscriptionDocument = ({
  subscriptionId,
  registered,
  hasUsage,
}: ListedSubscription): z.output<typeof subscriptionSchema> => ({
  subscription_id: subscriptionId,
  registered: registered !== null,
  has_usage: hasUsage,
  provider: registered?.provider ?? null,
  status: registered?.status ?? null,
  plan: registered?.plan ?? null,
  created_at: orNull(registered?.createdAt ?? null),
  updated_at: orNull(registered?.updatedAt ?? null),
});

export const usageTypeSchema = z
  .object({
    usage_type: z.string(),
    unit: z.string().meta({ description: 'What total_used of this type counts.' }),
  })
  .meta({ id: 'UsageType', examples: [{ usage_type: 'data', unit: 'kilobytes' }] });

export const usageTypesSchema = z.object({ items: z.array(usageTypeSchema) }).meta({ id: 'UsageTypes' });
