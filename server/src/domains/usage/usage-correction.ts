import { hash } from 'node:crypto';
import { z } from 'zod';
import { type Day, dayOf, formatDay, parseDay } from '../../core/days.ts';
import type { Instant } from '../../core/time.ts';
import { instant, storableText } from '../../core/validation.ts';
import { formatAmount, microsOf } from './decimal.ts';
import type { BatchId, Decimal } from './usage.ts';
import { price, used } from './usage-record.ts';

/** How a record was sent: what it is called for ever, wherever it is moved. */
export interface RecordIdentity {
  readonly subscriptionId: string;
  readonly recordId: string;
  readonly day: Day;
}

/** What a record says, as sent or as corrected. */
export interface RecordState {
  readonly subscriptionId: string;
  readonly usageType: string;
  readonly usedAt: Instant;
  readonly used: bigint;
  readonly price: Decimal;
  readonly deleted: boolean;
}

/** What a correction changes; what it does not name stays. */
export interface RecordChange {
  readonly subscriptionId?: string | undefined;
  readonly usageType?: string | undefined;
  readonly usedAt?: Instant | undefined;
  readonly used?: bigint | undefined;
  readonly price?: Decimal | undefined;
  /** false brings a deleted record back. */
  readonly deleted?: boolean | undefined;
}

export interface Correction {
  readonly identity: RecordIdentity;
  /** One more than the present one; a record as sent has 0. */
  readonly revision: number;
  readonly change: RecordChange;
  readonly reason: string | null;
  readonly actor: string;
}

/** A record as of a revision. */
export interface RevisedRecord {
  readonly identity: RecordIdentity;
  /** 0 = as sent */
  readonly revision: number;
  readonly state: RecordState;
  /** Brought it into this state: what reads can wait for. */
  readonly batchId: BatchId;
}

export interface Revision {
  readonly revision: number;
  readonly state: RecordState;
  readonly reason: string | null;
  readonly actor: string;
  readonly recordedAt: Instant;
  readonly batchId: BatchId;
}

/** A record as it is now, as it was sent, and its latest revisions, newest first. */
export interface RecordHistory extends RevisedRecord {
  readonly sent: RecordState;
  readonly revisions: readonly Revision[];
}

/** Revisions that a history shows. */
export const maxRevisionsShown = 100;

/** Sums begin here: corrections and adjustments of earlier days are refused. */
export const earliestDay = parseDay('2000-01-01') as Day;

/** A signed difference to the sums of one subscription, type and day. */
export interface Difference {
  readonly subscriptionId: string;
  readonly usageType: string;
  readonly day: Day;
  readonly records: number;
  readonly used: bigint;
  /** Millionths. */
  readonly priceMicros: bigint;
  /** 0 = takes from the sums where the record was, or changes it there; 1 = gives to those where it comes. */
  readonly side: 0 | 1;
}

export const reason = storableText(500).meta({ description: 'Why, for whoever asks later.' });
const revision = z
  .int()
  .min(1)
  .max(2 ** 31 - 1)
  .meta({ description: 'One more than the present revision of the record; as it was sent, a record has 0.' });

/** The body of PATCH /usage/records/{subscription_id}/{record_id}. */
export const correctionSubmission = z
  .strictObject({
    revision,
    subscription_id: storableText(200).optional().meta({ description: 'Moves it to another subscription.' }),
    usage_type: storableText(50).optional(),
    used_at: instant.optional().meta({
      format: 'date-time',
      description: 'RFC 3339 with a zone; moves it to the UTC day of this instant.',
    }),
    used: used.optional(),
    price: price.optional(),
    deleted: z.literal(false).optional().meta({ description: 'Brings a deleted record back.' }),
    reason: reason.optional(),
  })
  .refine(({ revision: _, reason: __, ...change }) => Object.values(change).some((value) => value !== undefined), {
    error: 'must change something: subscription_id, usage_type, used_at, used, price, or deleted: false',
  });

export const changeOf = (body: z.output<typeof correctionSubmission>): RecordChange => ({
  subscriptionId: body.subscription_id,
  usageType: body.usage_type,
  usedAt: body.used_at,
  used: body.used,
  price: body.price,
  deleted: body.deleted,
});

/** Equal for corrections that say the same, however they write it. */
export function contentHashOf({ change, reason: why }: Pick<Correction, 'change' | 'reason'>): Buffer {
  const { subscriptionId, usageType, usedAt, used: amount, price: cost, deleted } = change;
  const content = [
    subscriptionId ?? null,
    usageType ?? null,
    usedAt ?? null,
    amount === undefined ? null : String(amount),
    cost === undefined ? null : formatAmount(cost),
    deleted ?? null,
    why,
  ];
  return hash('sha256', JSON.stringify(content), 'buffer');
}

export const changed = (state: RecordState, change: RecordChange): RecordState => ({
  subscriptionId: change.subscriptionId ?? state.subscriptionId,
  usageType: change.usageType ?? state.usageType,
  usedAt: change.usedAt ?? state.usedAt,
  used: change.used ?? state.used,
  price: change.price === undefined ? state.price : formatAmount(change.price),
  deleted: change.deleted ?? state.deleted,
});

/** What a correction changes in the sums: nothing, those of one key, or those of two. */
export function differencesOf(before: RecordState, after: RecordState): Difference[] {
  const taken = before.deleted ? null : amountsOf(before, { factor: -1n, side: 0 });
  const given = after.deleted ? null : amountsOf(after, { factor: 1n, side: 1 });
  if (taken === null || given === null || !isSameKey(taken, given))
    return [taken, given].filter((difference) => difference !== null);
  const net: Difference = {
    ...taken,
    records: 0,
    used: taken.used + given.used,
    priceMicros: taken.priceMicros + given.priceMicros,
  };
  return net.used === 0n && net.priceMicros === 0n ? [] : [net];
}

const amountsOf = (
  { subscriptionId, usageType, usedAt, used: amount, price: cost }: RecordState,
  { factor, side }: { readonly factor: bigint; readonly side: 0 | 1 },
): Difference => ({
  subscriptionId,
  usageType,
  day: dayOf(usedAt),
  records: Number(factor),
  used: factor * amount,
  priceMicros: factor * microsOf(cost),
  side,
});

const isSameKey = (a: Difference, b: Difference): boolean =>
  a.subscriptionId === b.subscriptionId && a.usageType === b.usageType && a.day === b.day;

/** How a record is called where one text must do. */
export const referenceOf = ({ subscriptionId, recordId, day }: RecordIdentity): string =>
  JSON.stringify([subscriptionId, recordId, formatDay(day)]);
