import type { NodeAddress } from '../../core/cluster.ts';

/**
 * What became of the server whose place is to be taken. `stopped`: its machine answers, and no server does. `silent`: nothing answers,
 * so it may be alive behind a broken network. `standby`: it follows another server.
 */
export type LostState = 'stopped' | 'silent' | 'standby' | 'primary' | 'starting';

export interface FailoverRequest {
  /** Of the server that was lost, as the nodes know it. */
  readonly node: NodeAddress;
  /** Of its standby. */
  readonly to: NodeAddress;
  /** Somebody has made sure that a silent server is off. */
  readonly isOff: boolean;
}

export interface FailoverPlan {
  readonly role: 'coordinator' | 'worker' | 'single';
  /** Null: it was not looked at, for its place was taken before. */
  readonly lost: LostState | null;
  /** Whether the standby is to be promoted: it is none any more where an earlier run got that far. */
  readonly promotes: boolean;
  /** Whether the nodes still know the old address. */
  readonly redirects: boolean;
  /** WAL that the standby has and has not replayed yet, in bytes; a promotion waits for it. */
  readonly unreplayedBytes: number;
  readonly checks: readonly string[];
}

export interface FailoverOutcome extends FailoverPlan {
  /** Transactions that were left prepared and are ended now. */
  readonly recovered: number;
  /** Those that are still prepared, by nodes that answer. */
  readonly preparedLeft: number;
  /** What was done, as sentences. */
  readonly done: readonly string[];
  /** What is left for people to do, as sentences. */
  readonly remains: readonly string[];
}

/** Puts a standby in the place of a server that was lost. On a single server, too. */
export interface Failover {
  /**
   * Changes nothing.
   * @throws DomainError `standby_unfit`, `node_unknown`, `node_alive` (two primaries would both take writes), `node_silent`
   */
  plan(request: FailoverRequest): Promise<FailoverPlan>;
  /** Safe to run again at any time: it does what is not done yet. @throws DomainError as `plan`; `promotion_failed` */
  run(request: FailoverRequest & { readonly actor: string; onStep(step: string): void }): Promise<FailoverOutcome>;
}
