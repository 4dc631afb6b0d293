import { hash } from 'node:crypto';
import { z } from 'zod';
import { type Day, formatDay, parseDay } from '../../core/days.ts';
import type { Instant } from '../../core/time.ts';
import { storableText } from '../../core/validation.ts';
import { microsOf } from './decimal.ts';
import type { BatchId } from './usage.ts';
import { reason } from './usage-correction.ts';

/** A signed difference to the sums of a day that has no raw rows any more. Known by its subscription and id. */
export interface Adjustment {
  readonly subscriptionId: string;
  readonly adjustmentId: string;
  readonly usageType: string;
  readonly day: Day;
  readonly usedDelta: bigint;
  /** Millionths. */
  readonly priceDeltaMicros: bigint;
  readonly reason: string;
}

export interface StoredAdjustment extends Adjustment {
  readonly actor: string;
  readonly recordedAt: Instant;
  readonly batchId: BatchId;
}

const usedDelta = z
  .union([z.int(), z.string().regex(/^-?\d{1,30}$/)], {
    error: 'must be a whole number, with a minus sign to take away; above 2^53 - 1 as text, up to 30 digits',
  })
  .transform((value) => BigInt(value))
  .meta({
    type: ['integer', 'string'],
    description: 'In the unit of the usage type, negative to take away. Above 2^53 - 1 as text.',
  });

const priceDelta = z
  .string()
  .regex(/^-?\d{1,18}(?:\.\d{1,6})?$/, {
    error: 'must be a decimal as text with up to 18 digits and 6 places, e.g. "-12.34"',
  })
  .transform(microsOf)
  .meta({ description: 'An exact decimal as text, up to 6 places, negative to take away.' });

const day = z
  .string()
  .transform((text, context): Day => {
    const parsed = parseDay(text);
    if (parsed !== null) return parsed;
    context.addIssue({ code: 'custom', message: 'must be a day that exists, e.g. 2026-06-30' });
    return z.NEVER;
  })
  .meta({ format: 'date', description: 'A UTC day whose raw records are gone.' });

/** The body of POST /usage/adjustments. */
export const adjustmentSubmission = z
  .strictObject({
    subscription_id: storableText(200),
    usage_type: storableText(50),
    day,
    adjustment_id: storableText(200).meta({ description: 'Unique per subscription: sent again, it changes nothing.' }),
    used_delta: usedDelta,
    price_delta: priceDelta,
    reason,
  })
  .refine((body) => body.used_delta !== 0n || body.price_delta !== 0n, {
    error: 'must change something: used_delta and price_delta are both 0',
  })
  .transform(
    (body): Adjustment => ({
      subscriptionId: body.subscription_id,
      adjustmentId: body.adjustment_id,
      usageType: body.usage_type,
      day: body.day,
      usedDelta: body.used_delta,
      priceDeltaMicros: body.price_delta,
      reason: body.reason,
    }),
  );

/** Equal for adjustments that say the same, however they write it. */
export const adjustmentHashOf = (adjustment: Adjustment): Buffer => {
  const { usageType, day: onDay, usedDelta: delta, priceDeltaMicros, reason: why } = adjustment;
  const content = [usageType, formatDay(onDay), String(delta), String(priceDeltaMicros), why];
  return hash('sha256', JSON.stringify(content), 'buffer');
};
