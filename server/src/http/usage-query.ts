import { z } from 'zod';
import { type Day, formatDay, parseDay } from '../core/days.ts';
import { isStorableText } from '../core/text.ts';
import { parseBatchId } from '../domains/usage/batch-id.ts';
import { parseLimit } from '../domains/usage/decimal.ts';
import { type SubscriptionFilter, subscriptionStatuses } from '../domains/usage/subscription.ts';
import type { BatchId } from '../domains/usage/usage.ts';
import type { MetricsQuery, OverLimitQuery, SumKey } from '../domains/usage/usage-read.ts';
import { parameter, requiredParameter, text, wholeNumber } from './query-parameters.ts';

const dayMeta = (description: string) => ({
  type: 'string',
  format: 'date',
  description,
  'x-examples': ['2026-06-30'],
});
const readDay = (value: string, refuse: (message: string) => never): Day =>
  parseDay(value) ?? refuse('must be a UTC day such as 2026-06-30');
const day = (description: string) => parameter(readDay, dayMeta(description));
const requiredDay = (description: string) => requiredParameter(readDay, dayMeta(description));

const flag = (description: string) =>
  parameter(
    (value, refuse): boolean => value === 'true' || (value === 'false' ? false : refuse('must be true or false')),
    { type: 'string', enum: ['true', 'false'], 'x-default': 'false', description },
  );

const defaultLimit = 50;

const paging = (what: string) => ({
  limit: wholeNumber([1, 500], `${what} a page; ${defaultLimit} unless given.`),
  cursor: text(2_000, 'The next_cursor of the page before.'),
});

const selectionFields = {
  usage_type: text(50, 'Only this type, e.g. data or voice.'),
  subscription_id: text(200, 'Only this subscription.'),
};

const recencyFields = {
  fresh: flag('true counts what is not rolled up yet, exactly, at the cost of reading those records.'),
  wait_for: parameter((value, refuse): BatchId => parseBatchId(value) ?? refuse('must be the batch_id of an answer'), {
    type: 'string',
    description:
      'The batch_id of a batch that has to be counted: waits up to 5 s for the rollup. Not in time: 503 `usage_not_rolled_up`. With fresh=true nothing has to be waited for.',
  }),
};

interface Paging {
  readonly limit: number;
  readonly cursor: string | null;
}

/** The parameters of a walk in the order of the documentation, without those that say which page: for `next`. */
type Given = Readonly<Record<string, string>>;

interface Asked extends Paging {
  /** Whether a page was asked for, in so many words. */
  readonly isPaged: boolean;
  readonly given: Given;
}

const askedOf = (
  { limit, cursor }: { limit?: number | undefined; cursor?: string | undefined },
  given: Readonly<Record<string, string | number | null | undefined>>,
): Asked => ({
  limit: limit ?? defaultLimit,
  cursor: cursor ?? null,
  isPaged: limit !== undefined || cursor !== undefined,
  given: Object.fromEntries(
    Object.entries(given).flatMap(([name, value]) => (value == null ? [] : [[name, String(value)]])),
  ),
});

function checkDays(query: { from?: Day | undefined; to?: Day | undefined }, context: z.RefinementCtx): void {
  const { from, to } = query;
  if (from !== undefined && to !== undefined && from > to)
    context.addIssue({ code: 'custom', path: ['to'], message: 'must not be before from: both days are included' });
}

const formatted = (value: Day | undefined): string | undefined => (value === undefined ? undefined : formatDay(value));

export interface OverLimitRequest extends OverLimitQuery, Asked {}

/** GET /usage/over-limit */
export const overLimitQuery = z
  .strictObject({
    price_limit: requiredParameter(
      (value, refuse) => parseLimit(value) ?? refuse('must be a decimal of 0 or more with up to 6 places, e.g. 12.34'),
      { type: 'string', description: 'Whoever has used for so much or more is listed.', 'x-examples': ['12.34'] },
    ),
    from: day('From this UTC day on; together with to. Without both: over all time.'),
    to: day('Up to this UTC day, included.'),
    ...selectionFields,
    ...recencyFields,
    ...paging('Subscriptions'),
  })
  .superRefine((query, context) => {
    checkDays(query, context);
    if ((query.from === undefined) === (query.to === undefined)) return;
    const missing = query.from === undefined ? 'from' : 'to';
    const issue = { code: 'custom' as const, params: { code: 'required' } };
    context.addIssue({ ...issue, path: [missing], message: 'is required' });
  })
  .transform(
    ({ price_limit, from, to, fresh = false, wait_for, ...query }): OverLimitRequest => ({
      selection: {
        days: from === undefined || to === undefined ? null : { from, to },
        usageType: query.usage_type ?? null,
        subscriptionId: query.subscription_id ?? null,
      },
      priceLimit: price_limit,
      fresh,
      waitFor: wait_for ?? null,
      ...askedOf(query, {
        price_limit,
        from: formatted(from),
        to: formatted(to),
        usage_type: query.usage_type,
        subscription_id: query.subscription_id,
        fresh: fresh ? 'true' : null,
      }),
    }),
  );

export interface MetricsRequest extends MetricsQuery, Asked {}

/** GET /usage/metrics */
export const metricsQuery = z
  .strictObject({
    from: requiredDay('From this UTC day on.'),
    to: requiredDay('Up to this UTC day, included.'),
    ...selectionFields,
    group_by: parameter((value, refuse): 'day' => (value === 'day' ? value : refuse('must be day, or left out')), {
      type: 'string',
      enum: ['day'],
      description: 'day: a row for each UTC day with usage.',
    }),
    ...recencyFields,
    ...paging('Rows'),
  })
  .superRefine(checkDays)
  .transform(
    ({ from, to, group_by, fresh = false, wait_for, ...query }): MetricsRequest => ({
      selection: {
        days: { from, to },
        usageType: query.usage_type ?? null,
        subscriptionId: query.subscription_id ?? null,
      },
      byDay: group_by === 'day',
      fresh,
      waitFor: wait_for ?? null,
      ...askedOf(query, {
        from: formatDay(from),
        to: formatDay(to),
        usage_type: query.usage_type,
        subscription_id: query.subscription_id,
        group_by,
        fresh: fresh ? 'true' : null,
      }),
    }),
  );

export interface SubscriptionListRequest extends Asked {
  readonly filter: SubscriptionFilter;
}

const isStatus = (value: string): value is (typeof subscriptionStatuses)[number] =>
  (subscriptionStatuses as readonly string[]).includes(value);

/** GET /usage/subscriptions */
export const subscriptionListQuery = z
  .strictObject({
    status: parameter(
      (value, refuse) => (isStatus(value) ? value : refuse(`must be one of ${subscriptionStatuses.join(', ')}`)),
      { type: 'string', enum: subscriptionStatuses, description: 'Only registered ones with this status.' },
    ),
    provider: text(200, 'Only registered ones of this provider.'),
    registered: parameter(
      (value, refuse): boolean => value === 'true' || (value === 'false' ? false : refuse('must be true or false')),
      {
        type: 'string',
        enum: ['true', 'false'],
        description: 'true: only those of the registry; false: only those that have usage and are not in it.',
      },
    ),
    ...paging('Subscriptions'),
  })
  .superRefine((query, context) => {
    if (query.registered !== false || (query.status === undefined && query.provider === undefined)) return;
    const message = 'cannot be false beside status or provider: only registered ones have these';
    context.addIssue({ code: 'custom', path: ['registered'], message });
  })
  .transform(
    (query): SubscriptionListRequest => ({
      filter: {
        registered: query.registered ?? null,
        status: query.status ?? null,
        provider: query.provider ?? null,
      },
      ...askedOf(query, {
        status: query.status,
        provider: query.provider,
        registered: query.registered === undefined ? null : String(query.registered),
      }),
    }),
  );

/** A name in a path: text of 1 to `max` characters that the database can hold. */
const readStorable = (max: number, example: string) =>
  z
    .string()
    .min(1)
    .max(max)
    .refine(isStorableText, { error: 'must hold no NUL character' })
    .meta({ 'x-examples': [example] });

/** `/usage/subscriptions/{subscription_id}` */
export const subscriptionParams = z.strictObject({ subscription_id: readStorable(200, 'SUB789') });

/** `/usage/batches/{batch_id}` */
export const batchParams = z.strictObject({
  batch_id: z
    .string()
    .transform((value, context): BatchId => {
      const id = parseBatchId(value);
      if (id !== null) return id;
      context.addIssue({ code: 'custom', message: 'is not a batch_id: it is a number of up to 19 digits' });
      return z.NEVER;
    })
    .meta({ 'x-examples': ['911234567890123456'] }),
});

/** What a cursor of a list of usage is bound to: the page size may change on the way, the rest may not. */
export const boundTo = (list: string, { given }: Asked): string => JSON.stringify([list, Object.entries(given).sort()]);

/** The query as a URL carries it, for `next`. Whoever waited for a batch need not wait again. */
export function usageSearch({ given, limit }: Asked, cursor: string): string {
  const search = new URLSearchParams(given);
  if (limit !== defaultLimit) search.set('limit', String(limit));
  search.set('cursor', cursor);
  return search.toString();
}

/** A key of a sum as the text of a place. */
export const sumPlace = ({ subscriptionId, usageType, day: at }: SumKey): string =>
  JSON.stringify([subscriptionId, usageType, ...(at === null ? [] : [formatDay(at)])]);

/** The key that a place names, or null for what is none of this list. */
export function sumKeyOf(place: string, byDay: boolean): SumKey | null {
  let parts: unknown;
  try {
    parts = JSON.parse(place);
  } catch {
    return null;
  }
  if (!Array.isArray(parts) || parts.length !== (byDay ? 3 : 2) || !parts.every((part) => typeof part === 'string'))
    return null;
  const [subscriptionId = '', usageType = '', at = ''] = parts as string[];
  const readAt = byDay ? parseDay(at) : null;
  if ((byDay && readAt === null) || !isStorableText(subscriptionId) || !isStorableText(usageType)) return null;
  return { subscriptionId, usageType, day: readAt };
}
