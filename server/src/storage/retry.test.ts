import { describe, expect, test } from 'vitest';
import { type FaultKind, StorageError } from './faults.ts';
import { isConnectionLoss, isTransient, withRetry } from './retry.ts';

const fault = (kind: FaultKind) => new StorageError('storage_fault', kind, { fault: { kind, sqlstate: null } });
const quick = { attempts: 4, firstPauseMs: 0 };

/** Fails with these errors one after another, then succeeds with the number of the attempt. */
function failing(...errors: unknown[]) {
  const attempts: number[] = [];
  const work = async (attempt: number): Promise<number> => {
    attempts.push(attempt);
    if (errors.length > 0) throw errors.shift();
    return attempt;
  };
  return { work, attempts };
}

describe('withRetry', () => {
  test('runs once when nothing fails', async () => {
    const { work, attempts } = failing();
    expect(await withRetry(work, isTransient, quick)).toBe(1);
    expect(attempts).toEqual([1]);
  });

  test('runs again after deadlocks, serialization failures and lock time-outs', async () => {
    const { work, attempts } = failing(fault('serialization'), fault('lock_timeout'));
    expect(await withRetry(work, isTransient, quick)).toBe(3);
    expect(attempts).toEqual([1, 2, 3]);
  });

  test('gives up after its attempts with the last error as it is', async () => {
    const errors = Array.from({ length: 9 }, () => fault('serialization'));
    const { work, attempts } = failing(...errors);
    await expect(withRetry(work, isTransient, quick)).rejects.toBe(errors[3]);
    expect(attempts).toHaveLength(4);
  });

  test.each<FaultKind>(['data', 'unique', 'timeout', 'unavailable', 'disk_full', 'other'])(
    'does not repeat after %s',
    async (kind) => {
      const error = fault(kind);
      const { work, attempts } = failing(error);
      await expect(withRetry(work, isTransient, quick)).rejects.toBe(error);
      expect(attempts).toEqual([1]);
    },
  );

  test('knows a lost connection', () => {
    expect(isConnectionLoss(fault('unavailable'))).toBe(true);
    expect(isConnectionLoss(fault('timeout'))).toBe(false);
    expect(isConnectionLoss(new Error('unavailable'))).toBe(false);
    expect(isTransient(new Error('deadlock'))).toBe(false);
  });
});
