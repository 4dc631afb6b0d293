import type pg from 'pg';
import { answerLimitMs, breakOff } from './answer-within.ts';
import { type ConnectionOptions, connect } from './connection.ts';
import { StorageError, toStorageError } from './faults.ts';
import { preparedRead } from './prepared-read.ts';
import { queryConfig, rowsOf } from './query-config.ts';
import { isConnectionLoss, isSpoilt } from './retry.ts';
import type { Statement } from './sql.ts';

/**
 * A few connections that take many short reads at once: each query is written at once and the answers come in order
 * (pipelining), which saves the round trip that a pooled connection waits for. Only for quick statements outside transactions:
 * a slow one delays those behind it.
 */
export interface ReadClients {
  /** Reads change nothing, so one whose connection was lost under way runs once more on a new one. */
  read<Row>(statement: Statement<Row>): Promise<Row[]>;
  close(): Promise<void>;
}

interface Slot {
  client: Promise<pg.Client> | null;
  inFlight: number;
  /** When the last answer came, or the first question of those that wait was sent; by performance.now(). */
  heardMs: number;
}

// A page is read in the order of an index and cut after some rows. Measured at 1 M orders in 28 partitions (microseconds a read):
// - planned anew for its values each time, an order by id costs 203; with one plan for all values 56, as its month is chosen
//   when the plan is run;
// - the planner expects few orders of any customer and would read and sort them all: a page of a customer with 30,000 orders
//   took 23,000, read in order 500. Where nothing is in order a sort is still done;
// - one plan for all values stays until the table is analysed again: made while a table holds a handful of rows, it reads the whole
//   of it at every look-up, also of the million that an import brings a moment later (28,000 at 200,000 shipments, by index 50).
// Citus refuses one plan for all values (it plans for the shards of the values), and a node that holds the rows itself plans it
// anew at each look-up, over all months, and keeps what it planned (13.2.2: 500 a second instead of 6,000, memory grows); so there
// every statement is planned for its values. A server knows what it is by itself, and the question goes ahead of the first read
// without waiting.
const onePlan = `select set_config('plan_cache_mode',
  case when exists (select from pg_extension where extname = 'citus') then 'force_custom_plan' else 'force_generic_plan' end, false)`;
const planning = {
  enable_sort: 'off',
  enable_bitmapscan: 'off',
  enable_seqscan: 'off',
};

// As many as one connection takes of one turn before the next is asked: enough to share the cost of waking the database, few
// enough that a busy moment is spread over the connections.
const readsTogether = 8;

export function createReadClients(given: ConnectionOptions, count: number): ReadClients {
  const options = { ...given, settings: { ...given.settings, ...planning } };
  const slots: Slot[] = Array.from({ length: count }, () => ({ client: null, inFlight: 0, heardMs: 0 }));
  let closed = false;
  const watch = watchSilence(slots, answerLimitMs(given.statementTimeoutMs));

  const open = (slot: Slot): Promise<pg.Client> => {
    if (slot.client !== null) return slot.client;
    const opening = connect(options, { pipeline: true }).then((client) => {
      client.on('end', () => {
        if (slot.client === opening) slot.client = null;
      });
      // Lost with the connection at worst, which the first read is told of.
      client.query(onePlan).catch(() => {});
      return client;
    });
    slot.client = opening;
    opening.catch(() => {
      if (slot.client === opening) slot.client = null;
    });
    return opening;
  };

  let current: { readonly slot: Slot; room: number } | null = null;
  /** The least busy one; the same for some reads of one turn of the event loop, so that they are sent by one system call. */
  const chosen = (): Slot => {
    if (current !== null && current.room > 0) {
      current.room--;
      return current.slot;
    }
    let slot = slots[0] as Slot;
    for (const other of slots) if (other.inFlight < slot.inFlight) slot = other;
    if (current === null) setImmediate(() => (current = null));
    current = { slot, room: readsTogether - 1 };
    return slot;
  };

  return {
    async read<Row>(statement: Statement<Row>): Promise<Row[]> {
      if (closed) throw new Error('Client was closed');
      const slot = chosen();
      if (slot.inFlight++ === 0) slot.heardMs = performance.now();
      try {
        for (let attempt = 1; ; attempt++) {
          // A connection that cannot even be opened is not tried again: the caller waited for it.
          const opening = open(slot);
          const client = await opening;
          try {
            return await send(client, statement);
          } catch (error) {
            const wrapped = toStorageError(error);
            // At once and without a word: reads behind one that was cut off see a lost connection and run once more. On Citus they
            // could hang behind it.
            if (isSpoilt(wrapped) && slot.client === opening) {
              slot.client = null;
              breakOff(client);
            }
            if (!isConnectionLoss(wrapped) || attempt >= attemptsAfter(wrapped)) throw error;
          }
        }
      } finally {
        slot.inFlight--;
        slot.heardMs = performance.now();
      }
    },
    async close() {
      closed = true;
      clearInterval(watch);
      await Promise.allSettled(slots.map(async (slot) => (await slot.client)?.end()));
    },
  };
}

/** Ends connections that owe an answer for too long; cheaper than a timer a read. */
const watchSilence = (slots: readonly Slot[], limitMs: number): NodeJS.Timeout =>
  setInterval(() => {
    for (const slot of limitMs === 0 ? [] : slots) {
      if (slot.inFlight === 0 || slot.client === null || performance.now() - slot.heardMs < limitMs) continue;
      slot.heardMs = performance.now();
      slot.client.then(breakOff, () => {});
    }
  }, 250).unref();

/** Who lost the connection through others may meet such ones again; what the server itself answered comes again sooner or later. */
const attemptsAfter = (error: unknown): number =>
  error instanceof StorageError && error.fault?.sqlstate === null ? 4 : 2;

const corked = new WeakSet<pg.Client>();

/**
 * Writes the queries of one turn of the event loop at once: requests that arrive together cost one system call, and wake the
 * database once, instead of one each.
 */
async function send<Row>(client: pg.Client, statement: Statement<Row>): Promise<Row[]> {
  const { stream } = (client as pg.Client & { readonly connection: pg.Connection }).connection;
  if (!corked.has(client)) {
    corked.add(client);
    stream.cork();
    setImmediate(() => {
      corked.delete(client);
      stream.uncork();
    });
  }
  const { name, rowOf } = statement;
  if (name !== undefined && rowOf !== undefined) return preparedRead(client, { ...statement, name, rowOf });
  return rowsOf(statement, await client.query(queryConfig(statement)));
}
