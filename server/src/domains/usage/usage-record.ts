import { z } from 'zod';
import { bucketOf } from '../../core/bucket.ts';
import { type Day, dayOf, formatDay } from '../../core/days.ts';
import type { Instant } from '../../core/time.ts';
import { fieldErrorsOf, instant, storableText } from '../../core/validation.ts';
import { parsePrice } from './decimal.ts';
import {
  type Decimal,
  maxAheadMs,
  type PlacedRecord,
  type RecordRejection,
  type RecordRejectionCode,
  type UsageRecord,
} from './usage.ts';

const largestUsed = 2n ** 63n - 1n;

/** What was used, in the unit of its type. */
export const used = z
  .union([z.int().min(0), z.string().regex(/^\d{1,19}$/)], {
    error: 'must be a whole number from 0 to 2^63 - 1; above 2^53 - 1 as text',
  })
  .transform((value, context): bigint => {
    const amount = BigInt(value);
    if (amount <= largestUsed) return amount;
    context.addIssue({ code: 'custom', message: 'must not be above 2^63 - 1' });
    return z.NEVER;
  })
  .meta({
    type: ['integer', 'string'],
    description:
      'In the unit of the usage type, 0 to 2^63 - 1. Above 2^53 - 1 as text: JSON numbers are not exact there.',
  });

/** What it cost. */
export const price = z
  .string()
  .transform((text, context): Decimal => {
    const decimal = parsePrice(text);
    if (decimal !== null) return decimal;
    context.addIssue({
      code: 'custom',
      message: 'must be a decimal as text, 0 or more, with up to 12 digits and 6 places, e.g. "12.34"',
    });
    return z.NEVER;
  })
  .meta({ description: 'An exact decimal as text, 0 or more, up to 6 places. No sign, no exponent.' });

/** One raw record as the API takes it, alone and in bulk. */
export const usageSubmission = z
  .strictObject({
    record_id: storableText(200).meta({ description: 'Unique per subscription and UTC day: the first one wins.' }),
    subscription_id: storableText(200),
    usage_type: storableText(50).meta({
      description: '`data` (kilobytes), `voice` (seconds) or another registered type.',
    }),
    used_at: instant.meta({
      format: 'date-time',
      description: 'RFC 3339 with a zone, truncated to milliseconds. Its UTC day is the day that is billed.',
    }),
    used,
    price,
  })
  .transform(
    (document): UsageRecord => ({
      subscriptionId: document.subscription_id,
      recordId: document.record_id,
      usageType: document.usage_type,
      usedAt: document.used_at,
      used: document.used,
      price: document.price,
    }),
  );

/** What a record is judged against. */
export interface IntakeRules {
  readonly now: Instant;
  /** Days before it take no raw usage any more. */
  readonly rawFrom: Day;
  /** Names of the known types. */
  readonly types: readonly string[];
}

type Refusal = Omit<RecordRejection, 'line'>;
export type Judged =
  | { readonly record: UsageRecord; readonly refusal: null }
  | { readonly record: null; readonly refusal: Refusal };

/** The detail is stored with the outcome: what the database cannot hold of the words of the sender is made readable. */
export const refusal = (code: RecordRejectionCode, detail: string): Judged => ({
  record: null,
  refusal: { code, detail: detail.toWellFormed().replaceAll('\0', '\ufffd') },
});

/** A document with this property could not be read as one (a CloudEvent that is none); its text says why. */
export const documentFault = Symbol('why this is no document');

/** Judges one document by itself; says what is wrong with it. */
export function judgeDocument(document: unknown, rules: IntakeRules): Judged {
  if (typeof document === 'object' && document !== null && documentFault in document)
    return refusal('invalid_input', String(document[documentFault]));
  const parsed = usageSubmission.safeParse(document);
  if (parsed.success) return judgeRecord(parsed.data, rules);
  const detail = fieldErrorsOf(parsed.error)
    .map((fault) => `${fault.pointer || '(document)'}: ${fault.detail}`)
    .join('; ');
  return refusal('invalid_input', detail.length > 300 ? `${detail.slice(0, 299)}…` : detail);
}

/** Judges a record of the right form. */
function judgeRecord(record: UsageRecord, { now, rawFrom, types }: IntakeRules): Judged {
  if (!types.includes(record.usageType)) {
    return refusal('unknown_usage_type', `"${record.usageType}" is no usage type. Known: ${types.join(', ')}.`);
  }
  if (record.usedAt > now + maxAheadMs) {
    return refusal('in_future', 'used_at is more than 5 minutes ahead of the clock of the server.');
  }
  if (dayOf(record.usedAt) < rawFrom) return tooOld(rawFrom);
  return { record, refusal: null };
}

export const tooOld = (rawFrom: Day): Judged =>
  refusal('too_old', `Raw usage is taken from ${formatDay(rawFrom)} on. Earlier days are corrected by adjustments.`);

export const placeRecord = (record: UsageRecord): PlacedRecord => ({
  ...record,
  day: dayOf(record.usedAt),
  bucket: bucketOf(record.subscriptionId),
});
