import { z } from 'zod';
import { dayMs, type Instant, parseInstant } from '../core/time.ts';

// The parameters `from` and `to` of kinds that make rows up.

/** The first year that partitions are made for. */
const firstYear = Date.UTC(1995);

/** A day or an instant, kept as it was given; null where it is left out. */
export const timeParameter = (description: string) =>
  z
    .string()
    .max(60)
    .nullable()
    .default(null)
    .refine((text) => text === null || readTime(text) !== null, {
      error: 'must be a day, e.g. 2026-01-31, or an RFC 3339 date and time with a zone',
    })
    .meta({ description });

const readTime = (text: string): Instant | null =>
  parseInstant(/^\d{4}-\d\d-\d\d$/.test(text) ? `${text}T00:00:00Z` : text);

/** `to` excluded. */
export interface Period {
  readonly from: Instant;
  readonly to: Instant;
}

export interface GivenPeriod {
  readonly from: string | null;
  readonly to: string | null;
}

/**
 * The period as seen at a moment; what is left out is in whole days, so that the same seed makes the same rows all day long.
 * @param beginOf where it begins when only its end is known
 */
export function periodOf(given: GivenPeriod, at: Instant, beginOf: (to: Instant) => Instant): Period {
  const read = (text: string | null): Instant | null => (text === null ? null : readTime(text));
  const to = read(given.to) ?? ((Math.floor(at / dayMs) * dayMs) as Instant);
  return { from: read(given.from) ?? beginOf(to), to };
}

/** Adds what is wrong with a period to the faults of the parameters. */
export function checkPeriod({ from, to }: Period, now: Instant, context: z.RefinementCtx): void {
  const refuse = (path: string, message: string): void => context.addIssue({ code: 'custom', path: [path], message });
  if (from >= to) refuse('from', 'must lie before `to`');
  else if (from < firstYear) refuse('from', 'must not lie before 1995, the first year that is kept');
  if (to > now) refuse('to', 'must not lie in the future');
}
