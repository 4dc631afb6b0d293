import { expect, test } from 'vitest';
import { z } from 'zod';
import { fieldErrorsOf } from './validation.ts';

const detailsOf = (schema: z.ZodType, value: unknown): string[] => {
  const parsed = schema.safeParse(value);
  return parsed.success ? [] : fieldErrorsOf(parsed.error).map(({ detail }) => detail);
};

test.each<[string, z.ZodType, unknown]>([
  ['is required', z.string(), undefined],
  ['must be text', z.string(), 7],
  ['must be text', z.string(), null],
  ['must be a number', z.number(), 'x'],
  ['must be a whole number', z.int(), 1.5],
  ['must be true or false', z.boolean(), 'yes'],
  ['must be a list', z.array(z.string()), {}],
  ['must be an object', z.strictObject({}), []],
  ['must be an object', z.record(z.string(), z.string()), 'x'],
  ['must not be empty', z.string().min(1), ''],
  ['must have at least 3 characters', z.string().min(3), 'ab'],
  ['must have at most 1 character', z.string().max(1), 'ab'],
  ['must have exactly 2 characters', z.string().length(2), 'abc'],
  ['must not be empty', z.array(z.int()).min(1), []],
  ['must have at most 2 entries', z.array(z.int()).max(2), [1, 2, 3]],
  ['must be at least 1', z.int().min(1), 0],
  ['must be at most 1,000,000', z.int().max(1_000_000), 1_000_001],
  ['must be greater than 0', z.number().positive(), 0],
  ['must be less than 10', z.number().lt(10), 10],
  ['must be a multiple of 5', z.number().multipleOf(5), 7],
  ['must be a UUID', z.uuid(), 'x'],
  ['must match the pattern /^[a-z]+$/', z.string().regex(/^[a-z]+$/), 'A'],
  ['must begin with /', z.string().startsWith('/'), 'x'],
  ['must be one of newest, oldest', z.enum(['newest', 'oldest']), 'first'],
  ['must be 1.0', z.literal('1.0'), '2.0'],
  ['is not a field of this document', z.strictObject({}), { extra: 1 }],
  ['has none of the forms that are taken here', z.union([z.string(), z.number()]), true],
  ['must be odd', z.number().refine((n) => n % 2 === 1, { error: 'must be odd' }), 2],
  ['must be a name', z.string().regex(/^[a-z]+$/, { error: 'must be a name' }), 'A'],
])('"%s"', (sentence, schema, value) => {
  expect(detailsOf(schema, value)).toEqual([sentence]);
});
