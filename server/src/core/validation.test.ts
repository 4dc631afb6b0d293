import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { currency, fieldErrorsOf, instant, pointerOf, storableText } from './validation.ts';

const shape = z.strictObject({
  id: storableText(5),
  at: instant.optional(),
  currency: currency.optional(),
  list: z.array(z.number()).optional(),
});
const errorsOf = (value: unknown) => {
  const result = shape.safeParse(value);
  return result.success ? [] : fieldErrorsOf(result.error);
};

describe('fieldErrorsOf', () => {
  test('tells a missing field from one of another type', () => {
    expect(errorsOf({})).toEqual([{ pointer: '/id', code: 'required', detail: 'is required' }]);
    expect(errorsOf({ id: 7 })).toMatchObject([{ pointer: '/id', code: 'invalid_type' }]);
    expect(errorsOf({ id: null })).toMatchObject([{ pointer: '/id', code: 'invalid_type' }]);
    expect(errorsOf([])).toMatchObject([{ pointer: '', code: 'invalid_type' }]);
  });

  test('names each unknown field, also those with special names', () => {
    expect(
      errorsOf(JSON.parse('{"id":"a","x/y":1,"__proto__":2,"constructor":3}')).map(({ pointer, code }) => [
        pointer,
        code,
      ]),
    ).toEqual(
      expect.arrayContaining([
        ['/x~1y', 'unknown_field'],
        ['/__proto__', 'unknown_field'],
        ['/constructor', 'unknown_field'],
      ]),
    );
  });

  test('names at most 20 faults of a long list', () => {
    expect(errorsOf({ id: 'a', list: Array.from({ length: 1_000 }, () => 'x') })).toHaveLength(20);
    expect(errorsOf({ id: 'a', list: [1, 'x'] })).toMatchObject([{ pointer: '/list/1' }]);
  });

  test('refuses text that cannot be stored, instants without a zone, currencies that are none', () => {
    expect(errorsOf({ id: 'a\u0000' })).toMatchObject([{ pointer: '/id', code: 'invalid_value' }]);
    expect(errorsOf({ id: '\ud800' })).toMatchObject([{ pointer: '/id', code: 'invalid_value' }]);
    expect(errorsOf({ id: '123456' })).toMatchObject([{ pointer: '/id', code: 'too_big' }]);
    expect(errorsOf({ id: '' })).toMatchObject([{ pointer: '/id', code: 'too_small' }]);
    expect(errorsOf({ id: 'a', at: '2025-06-30T12:30:00', currency: 'EURO' })).toMatchObject([
      { pointer: '/at', code: 'invalid_value' },
      { pointer: '/currency', code: 'invalid_value' },
    ]);
  });
});

test('pointerOf escapes by RFC 6901', () => {
  expect(pointerOf(['items', 0, 'a/b~c'])).toBe('/items/0/a~1b~0c');
  expect(pointerOf([])).toBe('');
});
