import { randomInt, randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import type { Logger } from '../core/ports.ts';
import { heldUntil } from '../core/salting.ts';
import { type CustomerLayouts, oneAtATime } from './customer-layouts.ts';
import type { Database } from './database.ts';
import { StorageError } from './faults.ts';
import { statement } from './sql.ts';
import type { Topology } from './topology.ts';
import type { SharedLock } from './transaction.ts';

/** Shared, with the number of the lease, held by every transaction that writes orders. Fixed for ever: two versions must agree. */
export const orderLockClass = 1_835_625_067;

interface LeaseValues {
  readonly serverId: string;
  readonly seenEpoch: bigint;
  readonly lifeMs: number;
}

const renewLease = statement<{ serverId: string }, [LeaseValues]>(
  'lease_renew',
  `update server_leases set renewed_at = now(), expires_at = now() + $3::double precision * interval '1 millisecond', seen_epoch = $2
    where server_id = $1 and expires_at > now() returning server_id as "serverId"`,
  ({ serverId, seenEpoch, lifeMs }) => [serverId, seenEpoch, lifeMs],
);

interface NewLease extends LeaseValues {
  readonly lockNumber: number;
  readonly application: string;
  readonly version: string;
  readonly topology: Topology;
}

const insertLease = statement<Record<string, never>, [NewLease]>(
  'lease_insert',
  `insert into server_leases (server_id, lock_number, application, version, host, pid, started_at, renewed_at, expires_at, seen_epoch, topology)
   values ($1, $4, $5, $6, $7, $8, now(), now(), now() + $3::double precision * interval '1 millisecond', $2, $9)
   on conflict (server_id) do update
      set renewed_at = excluded.renewed_at, expires_at = excluded.expires_at, seen_epoch = excluded.seen_epoch`,
  ({ serverId, seenEpoch, lifeMs, lockNumber, application, version, topology }) => [
    serverId,
    seenEpoch,
    lifeMs,
    lockNumber,
    application,
    version,
    hostname(),
    process.pid,
    topology,
  ],
);

const deleteLease = statement<Record<string, never>, [string]>(
  'lease_delete',
  'delete from server_leases where server_id = $1',
  (serverId) => [serverId],
);

/** Of processes that died long ago nobody needs to know any more. */
const deleteOldLeases = statement(
  'lease_delete_old',
  `delete from server_leases where expires_at < now() - interval '1 hour'`,
);

/** For how long a lease lasts, and how often it is renewed. */
export interface LeaseTiming {
  readonly lifeMs: number;
  readonly renewMs: number;
}

const standardLeaseTiming: LeaseTiming = { lifeMs: 10_000, renewMs: 1_000 };

// Who finds the lease run out waits so long for its renewal.
const renewalPatienceMs = 2_000;

/**
 * What entitles this process to write orders. Others count on it: while a lease is live in the database, its process may write by
 * the layouts of the epoch that stands with it; once it has run out there, the process has stopped before.
 */
export interface ServerLease {
  /** Held by each transaction that writes orders, so that whoever changes a layout finds those under way. */
  readonly lock: SharedLock;
  /** Whether it is held now: by this process's clocks, which begin before those of the database do. */
  isHeld(): boolean;
  /** Waits until it is held; the first call takes it. @throws StorageError `storage_unavailable` when it cannot be had in time */
  hold(): Promise<void>;
  /** Gives it back: nothing may be written afterwards. */
  close(): Promise<void>;
}

export interface ServerLeaseDeps {
  /** Connected to the coordinator where the database is a cluster. */
  readonly db: Database;
  readonly layouts: CustomerLayouts;
  /** For people: `milliard serve`, and its version. */
  readonly application: string;
  readonly version: string;
  /** What the database is to this process. Default `single`. */
  readonly topology?: Topology;
  readonly logger: Logger;
  readonly timing?: LeaseTiming;
}

/** A lease that is taken when it is first asked for, and renewed until it is closed. */
export function openServerLease(deps: ServerLeaseDeps): ServerLease {
  const { db, layouts, logger, timing = standardLeaseTiming, application, version, topology = 'single' } = deps;
  const { lifeMs, renewMs } = timing;
  const serverId = randomUUID();
  const lockNumber = randomInt(1, 2 ** 31);
  const clocks = createLeaseClocks(lifeMs);
  let timer: NodeJS.Timeout | null = null;
  let isClosed = false;

  const renew = oneAtATime(async () => {
    if (isClosed) return;
    const asked = clocks.read();
    const values = { serverId, seenEpoch: layouts.epoch(), lifeMs };
    const [renewed] = await db.query(renewLease(values));
    if (renewed === undefined) {
      await db.query(insertLease({ ...values, lockNumber, application, version, topology }));
      // While it had no lease nobody waited for it: what changed must be known before anything is written.
      await layouts.refresh();
      await db.query(deleteOldLeases());
    }
    clocks.renewed(asked);
  });
  const renewAgain = (): void => {
    renew().catch((error: unknown) => logger.warn({ err: error }, 'could not renew the lease to write orders'));
  };
  const begin = (): void => {
    if (timer !== null) return;
    timer = setInterval(renewAgain, renewMs).unref();
    layouts.onChange(renewAgain);
  };

  return {
    lock: [orderLockClass, lockNumber],
    isHeld: clocks.isHeld,
    async hold() {
      if (clocks.isHeld()) return;
      if (isClosed) throw new StorageError('storage_unavailable', 'The server is shutting down.');
      begin();
      await within(renew(), renewalPatienceMs);
      if (!clocks.isHeld()) throw noLease();
    },
    async close() {
      if (timer !== null) clearInterval(timer);
      layouts.onChange(() => {});
      if (timer === null) return;
      await renew().catch(() => {});
      isClosed = true;
      clocks.forget();
      await db.query(deleteLease(serverId)).catch((error: unknown) => {
        logger.warn({ err: error }, 'could not give the lease to write orders back: it runs out by itself');
      });
    },
  };
}

const noLease = (): StorageError =>
  new StorageError(
    'storage_unavailable',
    'This server could not renew its lease to write orders. It goes on as soon as the database answers.',
    { fault: { kind: 'unavailable', sqlstate: null } },
  );

/** @throws StorageError when the work takes longer; a failure of the work is thrown as it is */
async function within(work: Promise<void>, patienceMs: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const tooLate = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(noLease()), patienceMs);
  });
  try {
    await Promise.race([work, tooLate]);
  } finally {
    clearTimeout(timer);
    work.catch(() => {});
  }
}

/**
 * Two clocks, for either may stand still: the steady one while a machine sleeps, the wall clock when it is set back. The lease is
 * held only while both say so.
 */
function createLeaseClocks(lifeMs: number) {
  let until = { steadyMs: 0, wallMs: 0 };
  const read = () => ({ steadyMs: performance.now(), wallMs: Date.now() });
  return {
    read,
    /** @param asked the clocks before the database was asked */
    renewed(asked: ReturnType<typeof read>): void {
      until = { steadyMs: heldUntil(asked.steadyMs, lifeMs), wallMs: heldUntil(asked.wallMs, lifeMs) };
    },
    forget(): void {
      until = { steadyMs: 0, wallMs: 0 };
    },
    isHeld(): boolean {
      const now = read();
      return now.steadyMs < until.steadyMs && now.wallMs < until.wallMs;
    },
  };
}
