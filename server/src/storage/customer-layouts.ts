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

interface LayoutRow {
  readonly customerId: string;
  readonly ways: number;
  readonly state: 'draining' | 'active';
  /** Draining for longer than whoever put it there would let it: that process has died. */
  readonly abandoned: boolean;
}

const selectLayouts = statement<LayoutRow>(
  'salts',
  `select customer_id as "customerId", ways, state, coalesce(drain_until <= now(), false) as abandoned
     from customer_salts order by customer_id, layout`,
);

/** Takes effect or not, never by halves: the same row is what `salt` makes active. */
const deleteAbandoned = statement(
  'salts_delete_abandoned',
  `delete from customer_salts where state = 'draining' and drain_until <= now()`,
);

interface Known {
  /** All active layouts, oldest first; the last one is written to. Begins with the plain one. */
  readonly layouts: readonly CustomerLayout[];
  /** Those and the one that is about to become active: another server may write to it before this one knows. */
  readonly readable: readonly CustomerLayout[];
  readonly draining: boolean;
}

/** What this process knows of salted customers. Few customers are salted, so the whole table is kept in memory. */
export interface CustomerLayouts {
  /** Layouts of the customer, oldest first, never empty; new rows go to the last. */
  layoutsOf(customerId: string): readonly CustomerLayout[];
  /** Every layout under which rows of the customer may stand: what is read has to look there. */
  readableLayoutsOf(customerId: string): readonly CustomerLayout[];
  /** Whether the customer is being moved to another layout: nothing of it may be written now. */
  isDraining(customerId: string): boolean;
  /** Whether no customer is or ever was salted. */
  areAllPlain(): boolean;
  /**
   * Waits while one of the customers is being moved to another layout.
   * @param deadlineMs by performance.now(); default: 2 s from now
   * @throws StorageError `storage_overloaded` at the deadline
   */
  whenWritable(customerIds: readonly string[], deadlineMs?: number): Promise<void>;
  /** Everything here is at least as new as this epoch of the table. */
  epoch(): bigint;
  /** Reads the table again now when it changed. */
  refresh(): Promise<void>;
  /** Calls back whenever something changed, after it is known here. One listener. */
  onChange(listener: () => void): void;
  close(): void;
}

const plain: Known = { layouts: [plainLayout], readable: [plainLayout], draining: false };
const drainingPollMs = 50;

/** How long a write waits for a customer that is being moved. */
export const drainingPatienceMs = 2_000;

/** Loads the layouts and looks for changes every `refreshMs`. */
export async function openCustomerLayouts(db: Database, logger: Logger, refreshMs = 500): Promise<CustomerLayouts> {
  let known = new Map<string, Known>();
  let draining = new Set<string>();
  let version = '';
  let epoch = 0n;
  let listener = (): void => {};

  const readAgain = async (): Promise<void> => {
    const [row] = await db.query(selectEpoch());
    const current = `${row?.epoch}/${row?.layouts}`;
    // A row that drains is watched: whoever put it there may have died.
    if (current === version && draining.size === 0) return;
    let rows = await db.query(selectLayouts());
    if (rows.some(({ abandoned }) => abandoned)) {
      await db.query(deleteAbandoned());
      rows = await db.query(selectLayouts());
      logger.warn({}, 'a customer was being moved to another layout by a process that has died: it keeps its layout');
    }
    known = group(rows);
    draining = new Set([...known].filter(([, layout]) => layout.draining).map(([customerId]) => customerId));
    epoch = row?.epoch ?? 0n;
    if (current === version) return;
    version = current;
    listener();
  };
  const refresh = oneAtATime(readAgain);
  await refresh();
  const failure = 'could not look for changes of customer layouts';
  const looking = keepLooking(refresh, { everyMs: refreshMs, first: 'later', logger, failure });

  const isDraining = (customerIds: readonly string[]): boolean =>
    draining.size > 0 && customerIds.some((customerId) => draining.has(customerId));
  return {
    layoutsOf: (customerId) => (known.get(customerId) ?? plain).layouts,
    readableLayoutsOf: (customerId) => (known.get(customerId) ?? plain).readable,
    isDraining: (customerId) => draining.has(customerId),
    areAllPlain: () => known.size === 0,
    async whenWritable(customerIds, deadlineMs = performance.now() + drainingPatienceMs) {
      while (isDraining(customerIds)) {
        if (performance.now() >= deadlineMs) throw stillDraining();
        await delay(drainingPollMs);
        await refresh();
      }
    },
    epoch: () => epoch,
    refresh,
    onChange(callback) {
      listener = callback;
    },
    close: () => void looking.close(),
  };
}

export const stillDraining = (): StorageError =>
  new StorageError('storage_overloaded', 'This customer is being moved to another layout. Try again shortly.');

/**
 * Work of which one runs at a time, or an older answer could overwrite a newer one. Who asks while one runs shares the one that
 * comes after it.
 */
export function oneAtATime(work: () => Promise<void>): () => Promise<void> {
  let running: Promise<void> = Promise.resolve();
  let next: Promise<void> | null = null;
  return () => {
    next ??= running
      .catch(() => {})
      .then(() => {
        next = null;
        running = work();
        return running;
      });
    return next;
  };
}

function group(rows: readonly LayoutRow[]): Map<string, Known> {
  const known = new Map<string, Known>();
  for (const { customerId, ways, state } of rows) {
    const before = known.get(customerId) ?? plain;
    known.set(customerId, {
      layouts: state === 'active' ? [...before.layouts, { ways }] : before.layouts,
      readable: [...before.readable, { ways }],
      draining: before.draining || state === 'draining',
    });
  }
  return known;
}
