import type pg from 'pg';
import { type ConnectionOptions, connect } from './connection.ts';
import type { Statement } from './sql.ts';

/**
 * A few connections that take many short reads at once: each query is written at once and the answers come in order
 * (pipelining), which saves the round trip that a pooled connection waits for. Only for quick statements outside transactions:
 * a slow one delays those behind it.
 */
export interface ReadClients {
  read<Row>(statement: Statement<Row>): Promise<Row[]>;
  close(): Promise<void>;
}

interface Slot {
  client: Promise<pg.Client> | null;
  inFlight: number;
}

export function createReadClients(options: ConnectionOptions, count: number): ReadClients {
  const slots: Slot[] = Array.from({ length: count }, () => ({ client: null, inFlight: 0 }));
  let closed = false;

  const open = (slot: Slot): Promise<pg.Client> => {
    if (slot.client !== null) return slot.client;
    const opening = connect(options, { pipeline: true }).then((client) => {
      client.on('end', () => {
        if (slot.client === opening) slot.client = null;
      });
      return client;
    });
    slot.client = opening;
    opening.catch(() => {
      if (slot.client === opening) slot.client = null;
    });
    return opening;
  };

  const leastBusy = (): Slot => {
    let best = slots[0] as Slot;
    for (const slot of slots) if (slot.inFlight < best.inFlight) best = slot;
    return best;
  };

  return {
    async read<Row>(statement: Statement<Row>): Promise<Row[]> {
      if (closed) throw new Error('Client was closed');
      const slot = leastBusy();
      slot.inFlight++;
      try {
        const client = await open(slot);
        const { rows } = await client.query({ ...queryConfig(statement) });
        return rows as Row[];
      } finally {
        slot.inFlight--;
      }
    },
    async close() {
      closed = true;
      await Promise.allSettled(slots.map(async (slot) => (await slot.client)?.end()));
    },
  };
}

/** A statement in the driver's form. */
export function queryConfig(statement: Statement<unknown>): pg.QueryConfig {
  const values = statement.values as unknown[];
  return statement.name === undefined
    ? { text: statement.text, values }
    : { name: statement.name, text: statement.text, values };
}
