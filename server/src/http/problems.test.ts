import { describe, expect, test } from 'vitest';
import { DomainError, InvalidInputError } from '../core/errors.ts';
import { StorageError } from '../storage/faults.ts';
import { failureOf, httpError, problemOf } from './failure.ts';
import { problemTypeOf, problemTypes } from './problems.ts';

const request = { id: 'r1', path: '/api/v1/orders' };
const told = (error: unknown) => problemOf(failureOf(error), request);

describe('a problem', () => {
  test('has the members of RFC 9457, a code and the facts', () => {
    expect(told(new DomainError('status_conflict', 'No.', { current: 'cancelled', allowed: [] }))).toEqual({
      type: '/problems/status_conflict',
      title: 'Status conflict',
      status: 409,
      code: 'status_conflict',
      detail: 'No.',
      request_id: 'r1',
      instance: '/api/v1/orders',
      current: 'cancelled',
      allowed: [],
    });
  });

  test('cannot be forged by facts that bear the names of its members', () => {
    expect(told(httpError('not_found', 'No.', { status: 200, code: 'x' }))).toMatchObject({
      status: 404,
      code: 'not_found',
    });
  });

  test('never repeats the words of an unexpected error', () => {
    const secret = 'password=hunter2 select * from orders';
    const errors = [
      new Error(secret),
      secret,
      new StorageError('storage_fault', secret),
      new DomainError('no_such_code', secret),
      Object.assign(new Error(secret), { statusCode: 400 }),
    ];
    for (const error of errors) {
      expect(told(error).status).toBe(500);
      expect(JSON.stringify(told(error))).not.toContain('hunter2');
    }
  });

  test('of an amount beyond 2^53 - 1 is 422, of any other fault in the document 400', () => {
    const amount = { pointer: '/items/0/unit_price', code: 'too_big', detail: 'too big' };
    const other = { pointer: '/items/0/quantity', code: 'too_big', detail: 'too big' };
    expect(told(new InvalidInputError([amount]))).toMatchObject({
      status: 422,
      code: 'amount_too_large',
      errors: [amount],
    });
    expect(told(new InvalidInputError([amount, other]))).toMatchObject({ status: 400, code: 'invalid_input' });
  });

  test.each(['storage_unavailable', 'storage_overloaded', 'storage_timeout', 'commit_unknown'] as const)(
    '%s may be sent again',
    (code) => {
      expect(problemTypeOf(code)).toMatchObject({ status: 503, retryAfterSeconds: expect.any(Number) });
    },
  );

  test('has a status of an error, a title and a help that is a sentence, whatever its code', () => {
    for (const { status, title, help } of Object.values(problemTypes)) {
      expect(status).toBeGreaterThanOrEqual(400);
      expect(title).toMatch(/^[a-zA-Z]/);
      expect(help).toMatch(/[.)]$/);
    }
  });
});
