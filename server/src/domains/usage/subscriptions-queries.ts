import { bucketOf } from '../../core/bucket.ts';
import { formatInstant, type Instant } from '../../core/time.ts';
import { dynamic, type Statement, sql, statement } from '../../storage/sql.ts';
import type { Subscription, SubscriptionFacts, SubscriptionFilter } from './subscription.ts';

const columns = `s.subscription_id as "subscriptionId", s.provider, s.status, s.plan, s.created_at as "createdAt",
  s.updated_at as "updatedAt"`;

export const subscriptionById = statement<Subscription, [string]>(
  'subscription_by_id',
  `select ${columns} from subscriptions s where s.bucket = $1 and s.subscription_id = $2`,
  (id) => [bucketOf(id), id],
);

const factsOf = ({ subscriptionId, provider, status, plan }: SubscriptionFacts, at: Instant): readonly unknown[] => [
  subscriptionId,
  bucketOf(subscriptionId),
  provider,
  status,
  plan,
  formatInstant(at),
];

/** No row when it is registered already. */
export const insertSubscription = statement<Subscription, [SubscriptionFacts, Instant]>(
  'insert_subscription',
  `insert into subscriptions as s (subscription_id, bucket, provider, status, plan, created_at, updated_at)
   values ($1, $2, $3, $4, $5, $6, $6) on conflict do nothing returning ${columns}`,
  factsOf,
);

/** No row when it is not registered; `updated_at` stays where nothing changes. */
export const updateSubscription = statement<Subscription, [SubscriptionFacts, Instant]>(
  'update_subscription',
  `update subscriptions s
      set provider = $3, status = $4, plan = $5,
          updated_at = case when (s.provider, s.status, s.plan) is not distinct from ($3, $4, $5) then s.updated_at else $6 end
    where s.bucket = $2 and s.subscription_id = $1 returning ${columns}`,
  factsOf,
);

export const usageOfSubscription = statement<{ subscriptionId: string }, [string]>(
  'subscription_has_usage',
  `select t.subscription_id as "subscriptionId" from usage_totals t
    where t.bucket = $1 and t.subscription_id = $2 and (t.records <> 0 or t.total_used <> 0 or t.total_price <> 0) limit 1`,
  (id) => [bucketOf(id), id],
);

interface Walk {
  readonly after: string | null;
  readonly rows: number;
}

const hasUsage = sql`(t.records <> 0 or t.total_used <> 0 or t.total_price <> 0)`;

/** Registered subscriptions in the order of their ids. */
export function registeredSubscriptions(
  { status, provider }: SubscriptionFilter,
  { after, rows }: Walk,
): Statement<Subscription & { hasUsage: boolean }> {
  const conditions = [
    sql`true`,
    ...(after === null ? [] : [sql`s.subscription_id > ${after}`]),
    ...(status === null ? [] : [sql`s.status = ${status}`]),
    ...(provider === null ? [] : [sql`s.provider = ${provider}`]),
  ];
  return dynamic(sql<Subscription & { hasUsage: boolean }>`
    select ${sql.raw(columns)}, exists (select from usage_totals t
             where t.bucket = s.bucket and t.subscription_id = s.subscription_id and ${hasUsage}) as "hasUsage"
      from subscriptions s where ${sql.join(conditions, sql` and `)}
     order by s.subscription_id limit ${sql.lit(rows)}`);
}

/** Subscriptions that have usage, in the order of their ids; registered ones too unless they are left out. */
export function usedSubscriptions(
  { after, rows }: Walk,
  { onlyUnregistered }: { readonly onlyUnregistered: boolean },
): Statement<{ subscriptionId: string }> {
  const unregistered = sql`and not exists (select from subscriptions s
    where s.bucket = t.bucket and s.subscription_id = t.subscription_id)`;
  return dynamic(sql<{ subscriptionId: string }>`
    select t.subscription_id as "subscriptionId" from usage_totals t
     where ${hasUsage} ${after === null ? sql`` : sql`and t.subscription_id > ${after}`} ${onlyUnregistered ? unregistered : sql``}
     group by t.subscription_id, t.bucket order by t.subscription_id limit ${sql.lit(rows)}`);
}
