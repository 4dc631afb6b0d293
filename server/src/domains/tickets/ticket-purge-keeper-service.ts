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

export interface PurgeKeeper {
  /** Looks no more; resolves when a look under way has ended. */
  close(): Promise<void>;
}

/**
 * A server's part: looks now and then whether the keep period of some old tokens is over, and queues their deletion. Several
 * servers that look at once queue one run.
 */
export function startPurgeKeeper({ db, jobs, logger, everyMs = hourMs }: PurgeKeeperDeps): PurgeKeeper {
  const look = async (): Promise<void> => {
    try {
      if ((await db.query(duePurges(0))).length > 0) await jobs.start(purgeKind, {}, { actor: 'housekeeping' });
    } catch (error) {
      logger.warn({ err: error }, 'cannot look for old ticket tokens to be deleted; tries again later');
    }
  };
  let looking = look();
  const timer = setInterval(() => {
    looking = looking.then(look);
  }, everyMs);
  timer.unref();
  return {
    close() {
      clearInterval(timer);
      return looking;
    },
  };
}
