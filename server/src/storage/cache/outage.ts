import { StorageError } from '../faults.ts';

/**
 * What the cache knows of the database's being there. While it is lost, requests are answered from what is kept, without
 * waiting; one load every half second looks whether it is back.
 */
export interface Outage {
  isOn(): boolean;
  /** While it is on: whether it is time to look again. Who is told so, looks. */
  mayTry(nowMs: number): boolean;
  failed(error: unknown, nowMs: number): void;
  succeeded(): void;
}

const tryEveryMs = 500;

export function createOutage(): Outage {
  let triedAtMs: number | null = null;
  return {
    isOn: () => triedAtMs !== null,
    mayTry(nowMs) {
      if (triedAtMs === null || nowMs - triedAtMs < tryEveryMs) return false;
      triedAtMs = nowMs;
      return true;
    },
    failed(error, nowMs) {
      if (error instanceof StorageError && error.code === 'storage_unavailable') triedAtMs = nowMs;
    },
    succeeded() {
      triedAtMs = null;
    },
  };
}

/** Faults in which an answer that is kept is better than none. A fault of the schema or of the code is not hidden by it. */
export const isAbsence = (error: unknown): boolean =>
  error instanceof StorageError &&
  (error.code === 'storage_unavailable' || error.code === 'storage_timeout' || error.code === 'storage_overloaded');
