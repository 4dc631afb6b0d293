import type { SeenLease } from '../../core/salting.ts';
import type { Instant } from '../../core/time.ts';

/** One row of customer_salts. */
export interface DistributedLayout {
  readonly customerId: string;
  readonly layout: number;
  readonly ways: number;
  readonly state: 'draining' | 'active';
  readonly epoch: bigint;
  readonly createdAt: Instant;
}

/** A process that may write orders: one with a live lease. */
export interface LeaseHolder extends SeenLease {
  readonly lockNumber: number;
  readonly application: string;
  readonly version: string;
  readonly host: string;
  readonly pid: number;
  readonly startedAt: Instant;
  readonly renewedAt: Instant;
  /** Since it was renewed, by the clock of the database. */
  readonly ageMs: number;
}

/** A transaction that may write orders. */
export interface OpenTransaction {
  readonly node: number;
  readonly id: string;
  /** Of the lease it is written under; null: prepared on this node for a transaction of another. */
  readonly lockNumber: number | null;
  readonly ageMs: number;
}

/** Where `salt` is: told before each step, for people and for tests that end it there. */
export type SaltStep = 'preparing' | 'draining' | 'waiting for servers' | 'waiting for transactions' | 'activating';

export interface SaltRequest {
  readonly customerId: string;
  readonly ways: number;
  readonly actor: string;
  readonly signal: AbortSignal;
  readonly onStep: (step: SaltStep) => void;
  /** Told whom it waits for while nobody is made to wait yet. */
  readonly onWaiting: (holders: readonly LeaseHolder[]) => void;
}

export interface SaltPlan {
  readonly customerId: string;
  readonly waysBefore: number;
  readonly ways: number;
  /** All homes it would have, those it has included. */
  readonly buckets: readonly number[];
  /** The processes that would have to learn of it. */
  readonly holders: readonly LeaseHolder[];
}

export interface SaltOutcome {
  readonly kind: 'salted' | 'nothing';
  readonly waysBefore: number;
  readonly ways: number;
  /** How long new orders of the customer may have waited, in ms. */
  readonly pausedMs: number;
  readonly servers: number;
}

/** A customer and the ways it has had, oldest first, the plain one included. */
export interface SaltedCustomer {
  readonly customerId: string;
  readonly ways: readonly number[];
  readonly state: 'draining' | 'active';
  readonly since: Instant;
}

export interface Salting {
  list(): Promise<SaltedCustomer[]>;
  /** What `salt` would do; writes nothing. @throws DomainError `salt_refused` */
  plan(customerId: string, ways: number): Promise<SaltPlan>;
  /**
   * Spreads the customer's new orders over more ways. Its writes wait meanwhile, for 2 s at most; nobody else's do.
   * @throws DomainError `salt_refused`, `salt_running`, `salt_held_up` (nothing was changed)
   */
  salt(request: SaltRequest): Promise<SaltOutcome>;
}
