import type { Logger } from './ports.ts';

export interface KeepLookingOptions {
  readonly everyMs: number;
  /** `now`: looks at once; `later`: the caller has looked already. */
  readonly first: 'now' | 'later';
  readonly logger: Pick<Logger, 'warn'>;
  /** What is logged when a look fails; the next one comes at its time. */
  readonly failure: string;
}

export interface Looking {
  /** Looks no more; resolves when a look under way has ended. */
  close(): Promise<void>;
}

/**
 * Looks again and again, one look at a time: one that takes longer than the interval leaves the next ones out. Keeps no process
 * alive.
 */
export function keepLooking(
  look: () => Promise<void>,
  { everyMs, first, logger, failure }: KeepLookingOptions,
): Looking {
  let underWay: Promise<void> | null = null;
  const lookOnce = async (): Promise<void> => {
    try {
      await look();
    } catch (error) {
      logger.warn({ err: error }, failure);
    }
  };
  const start = (): void => {
    underWay ??= lookOnce().finally(() => {
      underWay = null;
    });
  };
  if (first === 'now') start();
  const timer = setInterval(start, everyMs);
  timer.unref();
  return {
    async close() {
      clearInterval(timer);
      await underWay;
    },
  };
}
