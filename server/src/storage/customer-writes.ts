import { type CustomerLayouts, drainingPatienceMs, stillDraining } from './customer-layouts.ts';
import { SupersededError } from './faults.ts';
import type { ServerLease } from './server-lease.ts';
import { type SharedLock, type Transaction, takeSharedLock } from './transaction.ts';

/** A row that was given its home: the customer's layout had so many ways then. */
export interface Housed {
  readonly customerId: string;
  readonly ways: number;
}

/**
 * The right to write rows of customers in the homes that their layouts give them. Whoever moves a customer to another layout waits
 * for every transaction that was open before all servers knew of it; so a transaction is judged after it has begun, and one that
 * was made ready for a layout that holds no longer writes nothing.
 */
export interface CustomerWrites {
  /** For a transaction that is to be begun: it must hold this from its beginning. */
  readonly lock: SharedLock;
  /** For a transaction of the caller's. */
  enter(tx: Transaction): Promise<void>;
  /** Whether the customer is being moved just now. */
  isMoving(customerId: string): boolean;
  /**
   * Waits until this process may write rows of these customers.
   * @throws StorageError `storage_overloaded` at the deadline (default: in 2 s), `storage_unavailable` without a lease
   */
  whenWritable(customerIds: readonly string[], deadlineMs?: number): Promise<void>;
  /** To be called in a transaction that holds the lock, before it writes. @throws SupersededError */
  check(rows: Iterable<Housed>): void;
  /** Makes work ready and does it, again when it was superseded. @throws StorageError as `whenWritable` does */
  insist<T>(customerIds: readonly string[], work: () => Promise<T>): Promise<T>;
}

export function createCustomerWrites(layouts: CustomerLayouts, lease: ServerLease): CustomerWrites {
  const whenWritable: CustomerWrites['whenWritable'] = async (customerIds, deadlineMs) => {
    if (!lease.isHeld()) await lease.hold();
    await layouts.whenWritable(customerIds, deadlineMs);
  };
  return {
    lock: lease.lock,
    enter: async (tx) => void (await tx.run({ text: takeSharedLock(lease.lock), values: [] })),
    isMoving: layouts.isDraining,
    whenWritable,
    check(rows) {
      if (!lease.isHeld()) throw new SupersededError('The lease to write orders has run out. Try again shortly.');
      if (layouts.areAllPlain()) return;
      for (const { customerId, ways } of rows) {
        const isCurrent = layouts.layoutsOf(customerId).at(-1)?.ways === ways;
        if (!isCurrent || layouts.isDraining(customerId)) {
          throw new SupersededError('This customer was moved to another layout. Try again shortly.');
        }
      }
    },
    async insist(customerIds, work) {
      const deadlineMs = performance.now() + drainingPatienceMs;
      for (;;) {
        await whenWritable(customerIds, deadlineMs);
        try {
          return await work();
        } catch (error) {
          if (!(error instanceof SupersededError)) throw error;
          if (performance.now() >= deadlineMs) throw stillDraining();
        }
      }
    },
  };
}
