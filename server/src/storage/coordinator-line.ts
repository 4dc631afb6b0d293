import type pg from 'pg';
import { type ConnectionOptions, connect } from './connection.ts';
import { findCoordinatorUrl } from './coordinator.ts';
import { recogniseServer } from './topology.ts';
import { sessionOf } from './transaction.ts';

/** Opens connections to where DDL and advisory locks belong: on one machine to the server, of Citus to the coordinator. */
export interface CoordinatorLine {
  open(): Promise<pg.Client>;
}

export function createCoordinatorLine(options: ConnectionOptions): CoordinatorLine {
  // Asked once, and again when nobody answers there: after a fail-over the coordinator has another address.
  let known: string | null = null;
  return {
    async open() {
      if (known !== null && known !== options.url) {
        const { hosts: _, ...elsewhere } = options;
        return await connect({ ...elsewhere, url: known }).catch((error: unknown) => {
          known = null;
          throw error;
        });
      }
      const client = await connect(options);
      if (known !== null) return client;
      try {
        known = await coordinatorUrlBy(client, options.url);
      } catch (error) {
        await client.end().catch(() => {});
        throw error;
      }
      if (known === options.url) return client;
      await client.end();
      return this.open();
    },
  };
}

/** The address of the coordinator, asked over this connection; `url` itself where that is it, or where there is none. */
async function coordinatorUrlBy(client: pg.Client, url: string): Promise<string> {
  const { run } = sessionOf(client);
  const { topology } = await recogniseServer({ query: run });
  return topology === 'single' ? url : findCoordinatorUrl(run, url);
}
