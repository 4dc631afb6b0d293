import pg from 'pg';
import { describe, expect, test } from 'vitest';
import { DomainError } from '../core/errors.ts';
import {
  classifyFault,
  type FaultKind,
  StorageError,
  type StorageErrorCode,
  sqlstateOf,
  toStorageError,
} from './faults.ts';

function fromServer(code: string): Error {
  const error = new pg.DatabaseError('password of the row: secret', 10, 'error');
  error.code = code;
  error.severity = 'ERROR';
  return error;
}
const withCode = (code: string, more: object = {}) => Object.assign(new Error(code), { code, ...more });

describe('a SQLSTATE', () => {
  test.each<[string, FaultKind, StorageErrorCode]>([
    ['40001', 'serialization', 'storage_overloaded'],
    ['40P01', 'serialization', 'storage_overloaded'],
    ['55P03', 'lock_timeout', 'storage_overloaded'],
    ['57014', 'timeout', 'storage_timeout'],
    ['57P01', 'unavailable', 'storage_unavailable'],
    ['57P02', 'unavailable', 'storage_unavailable'],
    ['57P03', 'unavailable', 'storage_unavailable'],
    ['57P05', 'unavailable', 'storage_unavailable'],
    ['53300', 'unavailable', 'storage_unavailable'],
    ['08006', 'unavailable', 'storage_unavailable'],
    ['08P01', 'unavailable', 'storage_unavailable'],
    ['XX000', 'unavailable', 'storage_unavailable'],
    ['53100', 'disk_full', 'storage_full'],
    ['23505', 'unique', 'storage_fault'],
    ['23503', 'data', 'storage_fault'],
    ['23514', 'data', 'storage_fault'],
    ['22021', 'data', 'storage_fault'],
    ['22P02', 'data', 'storage_fault'],
    ['54000', 'data', 'storage_fault'],
    ['42P01', 'missing_object', 'schema_mismatch'],
    ['42703', 'missing_object', 'schema_mismatch'],
    ['42883', 'missing_object', 'schema_mismatch'],
    ['3F000', 'missing_object', 'schema_mismatch'],
    ['3D000', 'missing_database', 'storage_fault'],
    ['25006', 'read_only', 'storage_read_only'],
    ['42501', 'permission', 'storage_fault'],
    ['28P01', 'permission', 'storage_fault'],
    ['42601', 'other', 'storage_fault'],
  ])('%s is %s and reaches the caller as %s', (sqlstate, kind, code) => {
    const wrapped = toStorageError(fromServer(sqlstate)) as StorageError;
    expect(wrapped).toBeInstanceOf(StorageError);
    expect(wrapped).toMatchObject({ code, fault: { kind, sqlstate } });
    // The server's words may hold values of rows: they stay in the cause.
    expect(wrapped.message).not.toContain('secret');
    expect(wrapped.cause).toBeInstanceOf(pg.DatabaseError);
  });

  test('is taken from the server only', () => {
    expect(sqlstateOf(withCode('42P01'))).toBeNull();
    expect(sqlstateOf(withCode('ECONNRESET', { severity: 'x' }))).toBeNull();
    expect(sqlstateOf('42P01')).toBeNull();
  });
});

describe('an error without SQLSTATE', () => {
  test.each([
    withCode('ECONNREFUSED'),
    withCode('ECONNRESET'),
    withCode('EPIPE'),
    withCode('ENOENT', { syscall: 'connect' }),
    withCode('EACCES', { syscall: 'connect' }),
    new AggregateError([withCode('ECONNREFUSED'), withCode('ECONNREFUSED')]),
    new Error('Connection terminated unexpectedly'),
    new Error('Connection terminated due to connection timeout'),
    new Error('timeout exceeded when trying to connect'),
    new Error('timeout expired'),
    new Error('Client has encountered a connection error and is not queryable'),
    new Error('Client was closed and is not queryable'),
    new Error('Cannot use a pool after calling end on the pool'),
  ])('%s is a lost or refused connection', (error) => {
    expect(toStorageError(error)).toMatchObject({
      code: 'storage_unavailable',
      fault: { kind: 'unavailable', sqlstate: null },
    });
  });

  test.each([
    new TypeError('x is not a function'),
    new DomainError('order_not_found', 'There is no such order.'),
    withCode('ENOENT', { syscall: 'open' }),
    withCode('EACCES', { syscall: 'mkdir' }),
    new StorageError('commit_unknown', 'Who knows.'),
    'a thrown text',
  ])('%s is none of the database and passes through', (error) => {
    expect(toStorageError(error)).toBe(error);
    expect(classifyFault(error).kind).toBe('other');
  });
});
