import { setTimeout as delay } from 'node:timers/promises';
import { StorageError } from './faults.ts';

export interface RetryOptions {
  /** Runs at most this often. */
  readonly attempts: number;
  /** The pause before the second run; doubled each time, with jitter of one half. */
  readonly firstPauseMs: number;
}

const standard: RetryOptions = { attempts: 6, firstPauseMs: 10 };

/**
 * Runs whole units of work again after a fault that a repetition can cure: deadlock, serialization failure, lock time-out.
 * `retryable` decides on further faults. The last error is thrown as it is.
 */
export async function withRetry<T>(
  work: (attempt: number) => Promise<T>,
  retryable: (error: unknown) => boolean = isTransient,
  options: RetryOptions = standard,
): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await work(attempt);
    } catch (error) {
      if (attempt >= options.attempts || !retryable(error)) throw error;
      const pauseMs = options.firstPauseMs * 2 ** (attempt - 1);
      await delay(pauseMs * (0.5 + Math.random() / 2));
    }
  }
}

/** Whether the same transaction may succeed when it is simply run again. */
export const isTransient = (error: unknown): boolean =>
  error instanceof StorageError && (error.fault?.kind === 'serialization' || error.fault?.kind === 'lock_timeout');

/** Whether the connection was lost or refused; a pooled connection may have died long before it was used. */
export const isConnectionLoss = (error: unknown): boolean =>
  error instanceof StorageError && error.fault?.kind === 'unavailable';

/**
 * Whether a connection must not be used again after this error: it is lost, or a statement on it was cut off. On Citus such a session
 * may hold a connection to a node that does not answer, and would hang on it at its next statement, whichever that is.
 */
export const isSpoilt = (error: unknown): boolean =>
  error instanceof StorageError && (error.fault?.kind === 'unavailable' || error.fault?.kind === 'timeout');

/** Whether the database refused the statement as one it cannot carry out (0A000). */
export const isImpossible = (error: unknown): boolean =>
  error instanceof StorageError && error.fault?.sqlstate === '0A000';
