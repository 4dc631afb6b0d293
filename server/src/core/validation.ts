import { z } from 'zod';
import type { FieldError } from './errors.ts';
import { type Currency, parseCurrency } from './money.ts';
import { isStorableText } from './text.ts';
import { type Instant, parseInstant } from './time.ts';
import { missingField } from './validation-sentences.ts';

/** Text that PostgreSQL can store, of `min` to `max` UTF-16 units. */
export const storableText = (max: number, min = 1) =>
  z.string().min(min).max(max).refine(isStorableText, { error: 'must hold no NUL character and no lone surrogate' });

/** An RFC 3339 instant with a zone, truncated to milliseconds. */
export const instant = z
  .string()
  .max(60)
  .transform((text, context): Instant => {
    const at = parseInstant(text);
    if (at !== null) return at;
    context.addIssue({
      code: 'custom',
      message: 'must be an RFC 3339 date and time with a zone, e.g. 2025-06-30T12:30:00Z',
    });
    return z.NEVER;
  });

/** An ISO 4217 code. */
export const currency = z.string().transform((code, context): Currency => {
  const known = parseCurrency(code);
  if (known !== null) return known;
  context.addIssue({ code: 'custom', message: 'must be an ISO 4217 currency code, e.g. EUR' });
  return z.NEVER;
});

/** A path inside a document as an RFC 6901 pointer: ['items', 0, 'sku'] is /items/0/sku. */
export const pointerOf = (path: readonly PropertyKey[]): string =>
  path.map((part) => `/${String(part).replaceAll('~', '~0').replaceAll('/', '~1')}`).join('');

/** Every fault zod found, in the form answers carry. At most 20: a document of a million wrong items needs no million lines. */
export function fieldErrorsOf(error: z.ZodError): FieldError[] {
  return error.issues.slice(0, 20).flatMap((issue): FieldError[] => {
    if (issue.code === 'unrecognized_keys') {
      return issue.keys.slice(0, 20).map((key) => ({
        pointer: pointerOf([...issue.path, key]),
        code: 'unknown_field',
        detail: 'is not a field of this document',
      }));
    }
    return [{ pointer: pointerOf(issue.path), code: codeOf(issue), detail: issue.message }];
  });
}

/** Zod's codes with `custom` named for what it is: a value that has the right type and no meaning. */
function codeOf(issue: z.core.$ZodIssue): string {
  if (issue.code === 'custom')
    return typeof issue.params?.['code'] === 'string' ? issue.params['code'] : 'invalid_value';
  // Zod leaves the input out of its issues, so only the message tells a missing field from one of another type.
  return issue.code === 'invalid_type' && issue.message === missingField ? 'required' : issue.code;
}
