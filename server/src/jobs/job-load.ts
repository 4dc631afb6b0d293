import type { Logger } from '../core/ports.ts';
import type { Database } from '../storage/database.ts';
import type { JobThrottle } from './job.ts';
import type { Gate } from './job-gate.ts';
import { selectArchive, selectReplicaLag, selectVacuum } from './job-load-queries.ts';
import { type LoadSignals, segmentsBetween } from './throttle.ts';

/** Looks how the database is doing; only at what the run's throttle asks about. */
export interface LoadReader {
  /** Never throws: what cannot be seen holds nobody up. */
  refresh(run: { readonly gate: Pick<Gate, 'throttle' | 'setLoad'> }): Promise<void>;
}

export interface LoadReaderDeps {
  readonly db: Database;
  readonly logger: Logger;
  /** Tables whose vacuum counts. */
  readonly tables: readonly string[];
}

export function createLoadReader({ db, logger, tables }: LoadReaderDeps): LoadReader {
  let vacuumPid: number | null = null;
  let yieldedSinceMs = 0;
  let isWarned = false;

  const seen = async <T>(work: () => Promise<T>): Promise<T | null> => {
    try {
      return await work();
    } catch (error) {
      if (!isWarned) logger.debug({ err: error }, 'the load of the database cannot be seen');
      isWarned = true;
      return null;
    }
  };

  const vacuum = async (): Promise<LoadSignals['vacuum']> => {
    const [found] = await db.query(selectVacuum(tables));
    if (found === undefined) {
      vacuumPid = null;
      return null;
    }
    if (found.pid !== vacuumPid) {
      vacuumPid = found.pid;
      yieldedSinceMs = performance.now();
    }
    return { table: found.table, yieldedMs: performance.now() - yieldedSinceMs };
  };
  const replica = async (): Promise<LoadSignals['replica']> => (await db.query(selectReplicaLag()))[0] ?? null;
  const backlog = async (): Promise<number | null> => {
    const [archive] = await db.query(selectArchive());
    if (archive === undefined) return null;
    // Nothing archived yet: counted from the first that failed.
    return segmentsBetween(archive.archived ?? archive.failed, archive.present, Number(archive.segmentBytes));
  };
  const read = async (throttle: JobThrottle): Promise<LoadSignals> => ({
    replica: throttle.maxReplicaLagMs === null ? null : await seen(replica),
    archiveBacklogSegments: throttle.maxArchiveBacklogSegments === null ? null : await seen(backlog),
    vacuum: throttle.yieldsToVacuum && tables.length > 0 ? await seen(vacuum) : null,
  });

  return {
    async refresh({ gate }) {
      gate.setLoad(await read(gate.throttle()));
    },
  };
}
