import { describe, expect, test } from 'vitest';
import { DomainError } from '../core/errors.ts';
import { StorageError, toStorageError } from '../storage/faults.ts';
import { troubleOf } from './job-faults.ts';

const fault = (code: string, message = 'as PostgreSQL says it') =>
  toStorageError(Object.assign(new Error(message), { code, severity: 'ERROR' }));

describe('a failure', () => {
  test.each([
    ['23505', 'row'],
    ['23514', 'row'],
    ['23503', 'row'],
    ['23502', 'row'],
    ['22003', 'row'],
    ['P0001', 'row'],
    ['40P01', 'busy'],
    ['40001', 'busy'],
    ['55P03', 'busy'],
    ['57014', 'passing'],
    ['53100', 'passing'],
    ['25006', 'passing'],
    ['57P01', 'away'],
    ['08006', 'away'],
    ['42501', 'final'],
    ['42P01', 'final'],
    ['42601', 'final'],
  ])('with SQLSTATE %s is %s', (sqlstate, kind) => {
    expect(troubleOf(fault(sqlstate)).kind).toBe(kind);
  });

  test('of a domain rule is the fault of a row; a bug is none', () => {
    expect(troubleOf(new DomainError('order_refused', 'Too old.'))).toEqual({
      kind: 'row',
      code: 'order_refused',
      detail: 'Too old.',
    });
    expect(troubleOf(new TypeError('x is undefined')).kind).toBe('final');
  });

  test('of a commit whose answer was lost is asked about, not done again', () => {
    expect(troubleOf(new StorageError('commit_unknown', 'lost')).kind).toBe('away');
  });

  test('is told without the values of the row', () => {
    const trouble = troubleOf(fault('22P02', 'invalid input syntax for type uuid: "a-secret-token"'));
    expect(trouble).toMatchObject({ kind: 'row', detail: 'invalid input syntax for type uuid' });
    expect(JSON.stringify(troubleOf(fault('42601', 'syntax error at or near: "secret"')))).not.toContain('secret"');
  });

  test('of a full disk says what to do', () => {
    expect(troubleOf(fault('53100'))).toMatchObject({ message: expect.stringContaining('Free space, then resume') });
  });
});
