import { keepLooking, type Looking } from '../../core/keep-looking.ts';
import type { Logger } from '../../core/ports.ts';
import type { Jobs } from '../../jobs/jobs.ts';
import type { Database } from '../../storage/database.ts';
import { duePurges } from './ticket-purge-queries.ts';
import { purgeKind } from './ticket-rotation.ts';

export interface PurgeKeeperDeps {
  readonly db: Database;
  readonly jobs: Pick<Jobs, 'start'>;
  readonly logger: Logger;
  readonly everyMs?: number;
}

const hourMs = 3_600_000;

/**
 * A server's part: looks now and then whether the keep period of some old tokens is over, and queues their deletion. Several
 * servers that look at once queue one run.
 */
export function startPurgeKeeper({ db, jobs, logger, everyMs = hourMs }: PurgeKeeperDeps): Looking {
  const look = async (): Promise<void> => {
    if ((await db.query(duePurges(0))).length > 0) await jobs.start(purgeKind, {}, { actor: 'housekeeping' });
  };
  const failure = 'cannot look for old ticket tokens to be deleted; tries again later';
  return keepLooking(look, { everyMs, first: 'now', logger, failure });
}
