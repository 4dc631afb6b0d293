import type { NodeAddress } from '../../core/cluster.ts';
import type { Instant } from '../../core/time.ts';
import type { Distribution } from '../distribution.ts';

/** How a running single database becomes a cluster. */
export interface AdoptRequest {
  /** Servers to be added; those that are nodes already stay. */
  readonly workers: readonly NodeAddress[];
  /** Where the other nodes reach this database; null = as DATABASE_URL says, or as it was said before. */
  readonly coordinator: NodeAddress | null;
  /** Of each table; null = 16, or as many as there are already. */
  readonly shards: number | null;
}

/**
 * How far a table is. `waiting`: as it was on one server. `prepared`: known to all nodes, its rows are where they were.
 * `done`: as it is to be.
 */
export type AdoptState = 'waiting' | 'prepared' | 'done';

export interface AdoptTable {
  readonly name: string;
  readonly kind: Distribution;
  readonly state: AdoptState;
  /** By the estimates of the last ANALYZE; of this server: 0 where the rows are on the workers. */
  readonly rowsEstimate: number;
  /** With indexes, on this server. */
  readonly bytes: number;
  /** Tables that hold its rows: itself, or its partitions. */
  readonly pieces: number;
}

/** A process that knows the database as a single server. */
export interface OldProcess {
  readonly application: string;
  readonly host: string;
  readonly pid: number | null;
  readonly startedAt: Instant;
}

export interface AdoptPlan {
  /** Whether the database is a cluster already. */
  readonly isCluster: boolean;
  /** Why it cannot begin: each a sentence that says what to do. */
  readonly faults: readonly string[];
  /** What was looked at and found good. */
  readonly checks: readonly string[];
  readonly shards: number;
  readonly nodes: readonly NodeAddress[];
  readonly tables: readonly AdoptTable[];
  /** Who would have to be restarted first. */
  readonly processes: readonly OldProcess[];
}

/** A table whose rows are under way. */
export interface AdoptProgress {
  readonly table: AdoptTable;
  /** Bytes that have arrived on the workers, of those of all tables. */
  readonly doneBytes: number;
  readonly totalBytes: number;
  /** Effort that is done, of that of all tables. */
  readonly done: number;
  readonly total: number;
  /** Since the first table was begun. */
  readonly elapsedMs: number;
}

export interface AdoptOptions {
  readonly actor: string;
  readonly signal: AbortSignal;
  readonly onStep: (step: string) => void;
  /** Who is waited for; again whenever there are others, at last nobody. */
  readonly onWaiting: (processes: readonly OldProcess[]) => void;
  readonly onProgress: (progress: AdoptProgress) => void;
  readonly onTable: (table: AdoptTable, tookMs: number) => void;
}

export interface AdoptOutcome {
  readonly outcome: 'adopted' | 'nothing';
  /** Those that this run distributed. */
  readonly tables: readonly string[];
  readonly shards: number;
  readonly tookMs: number;
}

/** Makes the running single database the coordinator of a cluster. */
export interface Adoption {
  /** Changes nothing. */
  plan(request: AdoptRequest): Promise<AdoptPlan>;
  /**
   * Does what is left to do: how far it is stands in the catalogue of the database, so it goes on after any end.
   * @throws DomainError `adopt_unready` that names every reason
   */
  adopt(request: AdoptRequest, options: AdoptOptions): Promise<AdoptOutcome>;
}

export interface AdoptWay {
  readonly way: string;
  /** Who waits meanwhile, and about how long. */
  readonly waits: string;
}

/** How a table gets to where it is to be. */
export function wayOf({ kind, state, pieces }: AdoptTable, shards: number): AdoptWay {
  if (kind === 'coordinator') return { way: 'stays an ordinary table of the coordinator', waits: 'nobody' };
  if (state === 'done') return { way: 'as it is to be', waits: 'nobody' };
  if (kind === 'reference') return { way: 'a copy on every node', waits: 'its users, some 0.1 s' };
  if (kind === 'local') return { way: 'stays here, known to every node', waits: 'its users, some 0.1 s' };
  const seconds = (count: number): string => Math.max(0.1, count).toFixed(1);
  const lock = `its users, some ${seconds(preparingMsOf(pieces) / 1_000)} s`;
  const end = `its writers, some ${seconds(switchingMsOf(pieces, shards) / 1_000)} s at the end`;
  return {
    way: `copied online to ${shards} shards${pieces === 1 ? '' : ` of ${pieces} partitions each`}`,
    waits: state === 'prepared' ? end : `${lock}; ${end}`,
  };
}

// Measured on a machine of two cores, busy with other things, too.
const preparingMsOf = (pieces: number): number => 100 + 60 * pieces;
const switchingMsOf = (pieces: number, shards: number): number => 200 + 5 * pieces * shards;
const fixedMsOf = (pieces: number): number => 7_000 + 500 * pieces;
const bytesAMs = 40_000;

/** About how long moving the table takes there, in ms: a table costs most of it, however little it holds. */
export const effortOf = ({ pieces, bytes }: Pick<AdoptTable, 'pieces' | 'bytes'>): number =>
  fixedMsOf(pieces) + bytes / bytesAMs;

/** Of the effort of a table, so much is done. @param forMs since it was begun @param arrivedBytes on the workers */
export function effortDone({ pieces, bytes }: AdoptTable, forMs: number, arrivedBytes: number): number {
  const fixed = Math.min(fixedMsOf(pieces), forMs);
  // Only its end tells that it is all there.
  return 0.95 * (fixed + Math.min(bytes, arrivedBytes) / bytesAMs);
}

/** As long as the effort so far took; null before there is any. */
export const remainingAdoptMs = ({ done, total, elapsedMs }: AdoptProgress): number | null =>
  done === 0 ? null : (elapsedMs / done) * Math.max(0, total - done);
