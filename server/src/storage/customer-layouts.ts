import { setTimeout as delay } from 'node:timers/promises';
import { type CustomerLayout, plainLayout } from '../core/customer-layout.ts';
import { keepLooking } from '../core/keep-looking.ts';
import type { Logger } from '../core/ports.ts';
import type { Database } from './database.ts';
import { StorageError } from './faults.ts';
import { statement } from './sql.ts';

const selectEpoch = statement<{ epoch: bigint; layouts: bigint }>(
  'salts_epoch',
  'select coalesce(max(epoch), 0)::bigint as epoch, count(*) as layouts from customer_salts',
);
const selectLayouts = statement<{ customerId: string; ways: number; state: 'draining' | 'active' }>(
  'salts',
  'select customer_id as "customerId", ways, state from customer_salts order by customer_id, layout',
);

interface Known {
  /** All active layouts, oldest first; the last one is written to. Begins with the plain one. */
  readonly layouts: readonly CustomerLayout[];
  readonly draining: boolean;
}

/** What this process knows of salted customers. Few customers are salted, so the whole table is kept in memory. */
export interface CustomerLayouts {
  /** Layouts of the customer, oldest first, never empty; new rows go to the last. */
  layoutsOf(customerId: string): readonly CustomerLayout[];
  /**
   * Waits while one of the customers is being moved to another layout.
   * @throws StorageError `storage_overloaded` after 2 s
   */
  whenWritable(customerIds: readonly string[]): Promise<void>;
  /** Reads the table again now when it changed. */
  refresh(): Promise<void>;
  close(): void;
}

const plain: Known = { layouts: [plainLayout], draining: false };
const drainingPatienceMs = 2_000;
const drainingPollMs = 50;

/** Loads the layouts and looks for changes every `refreshMs`. */
export async function openCustomerLayouts(db: Database, logger: Logger, refreshMs = 1_000): Promise<CustomerLayouts> {
  let known = new Map<string, Known>();
  let draining = new Set<string>();
  let version = '';

  const readAgain = async (): Promise<void> => {
    const [row] = await db.read(selectEpoch());
    const current = `${row?.epoch}/${row?.layouts}`;
    if (current === version) return;
    known = group(await db.query(selectLayouts()));
    draining = new Set([...known].filter(([, layout]) => layout.draining).map(([customerId]) => customerId));
    version = current;
  };
  // One at a time, or an older answer could overwrite a newer one. Who asks while one runs shares the one that comes after it.
  let running: Promise<void> = Promise.resolve();
  let next: Promise<void> | null = null;
  const refresh = (): Promise<void> => {
    next ??= running
      .catch(() => {})
      .then(() => {
        next = null;
        running = readAgain();
        return running;
      });
    return next;
  };
  await refresh();
  const failure = 'could not look for changes of customer layouts';
  const looking = keepLooking(refresh, { everyMs: refreshMs, first: 'later', logger, failure });

  const isDraining = (customerIds: readonly string[]): boolean =>
    draining.size > 0 && customerIds.some((customerId) => draining.has(customerId));
  return {
    layoutsOf: (customerId) => (known.get(customerId) ?? plain).layouts,
    async whenWritable(customerIds) {
      const deadlineMs = performance.now() + drainingPatienceMs;
      while (isDraining(customerIds)) {
        if (performance.now() >= deadlineMs) {
          throw new StorageError(
            'storage_overloaded',
            'This customer is being moved to another layout. Try again shortly.',
          );
        }
        await delay(drainingPollMs);
        await refresh();
      }
    },
    refresh,
    close: () => void looking.close(),
  };
}

function group(
  rows: readonly { customerId: string; ways: number; state: 'draining' | 'active' }[],
): Map<string, Known> {
  const known = new Map<string, Known>();
  for (const { customerId, ways, state } of rows) {
    const before = known.get(customerId) ?? plain;
    known.set(customerId, {
      layouts: state === 'active' ? [...before.layouts, { ways }] : before.layouts,
      draining: before.draining || state === 'draining',
    });
  }
  return known;
}
