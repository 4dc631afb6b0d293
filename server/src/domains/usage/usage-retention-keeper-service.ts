import { type Day, dayOf } from '../../core/days.ts';
import { keepLooking, type Looking } from '../../core/keep-looking.ts';
import type { Logger } from '../../core/ports.ts';
import type { Clock } from '../../core/time.ts';
import type { UsageRetention } from './usage-retention-service.ts';

export interface RetentionKeeperDeps {
  readonly usage: UsageRetention;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Days before today whose raw rows are kept; null = raw rows are never dropped. */
  readonly keepRawDays: number | null;
  readonly everyMs?: number;
}

const hourMs = 3_600_000;

/** A server's part: drops raw days that are older than they are to be kept. Of several servers one does it. */
export function startRetentionKeeper({
  usage,
  clock,
  logger,
  keepRawDays,
  everyMs = hourMs,
}: RetentionKeeperDeps): Looking {
  if (keepRawDays === null) return { close: async () => {} };
  const look = async (): Promise<void> => {
    const before = (dayOf(clock.now()) - keepRawDays) as Day;
    const { dropped, refused } = await usage.dropRaw({ before, actor: 'housekeeping' });
    if (dropped.length > 0) logger.info({ days: dropped.length }, 'dropped raw usage of old days');
    if (refused !== null && refused.reason !== 'busy')
      logger.warn({ reason: refused.reason }, `raw usage of old days is not dropped: ${refused.detail}`);
  };
  const failure = 'cannot drop raw usage of old days; tries again later';
  return keepLooking(look, { everyMs, first: 'now', logger, failure });
}
