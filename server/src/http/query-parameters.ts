import { z } from 'zod';
import { isStorableText } from '../core/text.ts';
import { type Instant, parseInstant } from '../core/time.ts';

/** Refuses the value of a parameter: `return refuse('must be …')`. */
type Refuse = (message: string) => never;

/**
 * A query parameter: text that is read strictly. `?limit=1&limit=2` is refused, not guessed at.
 * @param meta its JSON schema in the documentation, where it may be a number though the wire carries text
 */
export const parameter = <T>(read: (text: string, refuse: Refuse) => T, meta: Readonly<Record<string, unknown>>) =>
  requiredParameter(read, meta).optional().meta(meta);

/** The same for one that must not be left out. */
export const requiredParameter = <T>(
  read: (text: string, refuse: Refuse) => T,
  meta: Readonly<Record<string, unknown>>,
) =>
  z
    .unknown()
    .transform((value, context): T => {
      const refuse = ((message: string, code = 'invalid_value') => {
        context.addIssue({ code: 'custom', message, params: { code } });
        return z.NEVER;
      }) as (message: string, code?: string) => never;
      if (value === undefined) return refuse('is required', 'required');
      return typeof value === 'string' ? read(value, refuse) : refuse('must be given once');
    })
    .meta(meta);

/** A whole number from `min` to `max`. */
export const wholeNumber = ([min, max]: readonly [number, number], description: string) =>
  parameter(
    (text, refuse) => {
      const number = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
      return number >= min && number <= max ? number : refuse(`must be a whole number from ${min} to ${max}`);
    },
    { type: 'integer', minimum: min, maximum: max, description },
  );

/** Text of 1 to `max` characters that the database can hold. */
export const text = (max: number, description: string) =>
  parameter(
    (value, refuse) =>
      value.length >= 1 && value.length <= max && isStorableText(value)
        ? value
        : refuse(`must have 1 to ${max} characters, none of them NUL`),
    { type: 'string', minLength: 1, maxLength: max, description },
  );

// A plus sign that was not encoded arrives as a space: "…T12:30:00 02:00".
const readMoment = (value: string, refuse: Refuse): Instant =>
  parseInstant(value.replace(/ (\d\d:\d\d)$/, '+$1')) ??
  refuse('must be an RFC 3339 date and time with a zone, e.g. 2025-06-30T12:30:00Z');

const momentMeta = (description: string) => ({ type: 'string', format: 'date-time', description });

/** An RFC 3339 instant. */
export const moment = (description: string) => parameter(readMoment, momentMeta(description));

/** An RFC 3339 instant that must not be left out. */
export const requiredMoment = (description: string) => requiredParameter(readMoment, momentMeta(description));

/** One of a few words. */
export const choice = <T extends string>(choices: readonly [T, ...T[]], description: string) =>
  parameter(
    (value, refuse): T => choices.find((candidate) => candidate === value) ?? refuse(`must be ${choices.join(' or ')}`),
    { type: 'string', enum: choices, 'x-default': choices[0], description },
  );
