import { DomainError } from '../../core/errors.ts';
import type { Clock, Instant } from '../../core/time.ts';
import type { Database } from '../../storage/database.ts';
import type { Statement } from '../../storage/sql.ts';
import {
  directTriggers,
  disableStatements,
  enableStatements,
  insertDirectAudit,
  limitLockWait,
  selectDirectBatches,
  selectDirectTriggers,
} from './usage-direct-writes-queries.ts';

export interface DirectWritesStatus {
  /** `incomplete`: somebody dropped or disabled a part; enable again, and compare with `verify usage`. */
  readonly state: 'enabled' | 'disabled' | 'incomplete';
  /** Triggers that are missing or do not fire. */
  readonly missing: readonly string[];
  /** Transactions that wrote past the API, as far as the ledger remembers. */
  readonly batches: number;
  /** Of these, not in the sums yet. */
  readonly openBatches: number;
  readonly lastAt: Instant | null;
}

/** Whether rows of usage_records written by others than the server (psql, COPY, another service) are counted. */
export interface DirectWrites {
  /**
   * Installs the triggers, or renews them. Waits for writers that are at it and holds up new ones meanwhile.
   * @throws DomainError `direct_writes_unsupported` on Citus; StorageError when writers do not let go
   */
  enable(actor: string): Promise<DirectWritesStatus>;
  /** Takes them away: then an INSERT past the API fails for want of a batch_id. UPDATE and DELETE are not noticed any more. */
  disable(actor: string): Promise<DirectWritesStatus>;
  status(): Promise<DirectWritesStatus>;
}

export interface DirectWritesDeps {
  readonly db: Database;
  readonly clock: Clock;
  readonly isCitus: boolean;
}

export function createDirectWrites({ db, clock, isCitus }: DirectWritesDeps): DirectWrites {
  const status = () => readStatus(db);
  const change = async (statements: readonly Statement<never>[], actor: string, action: string) => {
    await db.transaction(async (tx) => {
      await tx.run(limitLockWait);
      for (const statement of statements) await tx.run(statement);
      await tx.run(insertDirectAudit(actor, action, clock.now()));
    });
    return status();
  };
  return {
    async enable(actor) {
      if (isCitus) throw unsupported();
      return change(enableStatements, actor, 'usage.direct_writes_enable');
    },
    disable: (actor) => change(disableStatements, actor, 'usage.direct_writes_disable'),
    status,
  };
}

async function readStatus(db: Database): Promise<DirectWritesStatus> {
  const present = new Set((await db.query(selectDirectTriggers())).map(({ name }) => name));
  const [counts] = await db.query(selectDirectBatches());
  const missing = Object.keys(directTriggers).filter((name) => !present.has(name));
  return {
    state: missing.length === 0 ? 'enabled' : present.size === 0 ? 'disabled' : 'incomplete',
    missing: present.size === 0 ? [] : missing,
    batches: Number(counts?.batches ?? 0n),
    openBatches: Number(counts?.openBatches ?? 0n),
    lastAt: counts?.lastAt ?? null,
  };
}

const unsupported = (): DomainError<'direct_writes_unsupported'> =>
  new DomainError(
    'direct_writes_unsupported',
    'Direct writes need triggers that read the ledger. On Citus a trigger of a distributed table runs on the worker that holds the shard, where the ledger is not (and Citus allows none unless citus.enable_unsafe_triggers is on). Send the usage to POST /api/v1/usage/records/bulk.',
  );
