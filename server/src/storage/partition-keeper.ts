import { keepLooking } from '../core/keep-looking.ts';
import type { Logger } from '../core/ports.ts';
import { type Clock, type Month, minuteMs } from '../core/time.ts';
import type { Database } from './database.ts';
import { ensureMonths, listMonths, readyMonths } from './partitions.ts';

/** Sees to it that the months that must stand ready do, and knows which months there are. */
export interface PartitionKeeper {
  /** Months with partitions, oldest first, as of the last look (a minute ago at most). */
  months(): readonly Month[];
  close(): void;
}

export interface PartitionKeeperDeps {
  readonly db: Database;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly intervalMs?: number;
}

/** Makes what is missing now, then looks every minute: a server that runs for years needs no restart at the turn of a month. */
export async function startPartitionKeeper({
  db,
  clock,
  logger,
  intervalMs = minuteMs,
}: PartitionKeeperDeps): Promise<PartitionKeeper> {
  let months: readonly Month[] = [];
  const look = async (): Promise<void> => {
    const made = await ensureMonths(db, readyMonths(clock.now()));
    if (made.length > 0) logger.info({ months: made.length }, 'made partitions');
    months = await listMonths(db);
  };
  await look();
  const failure = 'could not look after the partitions; trying again in a minute';
  const looking = keepLooking(look, { everyMs: intervalMs, first: 'later', logger, failure });
  return { months: () => months, close: () => void looking.close() };
}
