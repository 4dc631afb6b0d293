import pg from 'pg';
import { type ConnectionOptions, clientConfig, connect, isSuitable, newClient, noHost } from './connection.ts';
import { toStorageError } from './faults.ts';
import type { Hosts } from './hosts.ts';
import { isConnectionLoss } from './retry.ts';

/** Connections that are kept and lent, to the first of the hosts that will do. */
export interface Pooled {
  /** Lends one; who borrows it gives it back with `giveBack`. @throws StorageError */
  checkOut(): Promise<pg.PoolClient>;
  /** Looks for a host again, without waiting: the one there is seems lost. */
  lookElsewhere(): void;
  use(): { readonly open: number; readonly idle: number; readonly waiting: number };
  close(): Promise<void>;
}

export function createPooled(options: ConnectionOptions & { readonly hosts: Hosts }, size: number): Pooled {
  const { hosts } = options;
  const pool = new pg.Pool({
    ...clientConfig(options),
    max: size,
    idleTimeoutMillis: 30_000,
    ...(hosts.isChoice ? choosing(options) : {}),
  });
  // An idle connection that dies is dropped by the pool; the next user gets a new one or an error of its own.
  pool.on('error', () => {});
  // One that dies between two statements of a transaction has nobody else listening: without this the process would end. The
  // next statement reports the loss.
  pool.on('connect', (client) => client.on('error', () => {}));

  let looking: Promise<void> | null = null;
  /** Finds the host that connections shall go to; they are made where it was found. */
  const look = (): Promise<void> => {
    const { openSocket: _, ...own } = options;
    looking ??= connect(own)
      .then((client) => client.end())
      .finally(() => {
        looking = null;
      });
    return looking;
  };
  let isFound = !hosts.isChoice;
  const found = async (): Promise<void> => {
    await look();
    isFound = true;
  };

  return {
    async checkOut() {
      try {
        if (!isFound) await found();
        return await pool.connect();
      } catch (error) {
        const wrapped = toStorageError(error);
        // Who could not get a connection once has waited long enough, unless there is somewhere else to go.
        if (!hosts.isChoice || !isConnectionLoss(wrapped)) throw wrapped;
      }
      try {
        await found();
        return await pool.connect();
      } catch (error) {
        throw toStorageError(error);
      }
    },
    lookElsewhere() {
      if (hosts.isChoice) look().catch(() => {});
    },
    use: () => ({ open: pool.totalCount, idle: pool.idleCount, waiting: pool.waitingCount }),
    close: () => pool.end(),
  };
}

/** What the pool needs to make each connection where the host is now, and to look at what it got. */
function choosing(options: ConnectionOptions & { readonly hosts: Hosts }): pg.PoolConfig {
  const { hosts } = options;
  return {
    Client: function make() {
      return newClient(clientConfig(options));
    } as unknown as new () => pg.Client,
    onConnect(client) {
      if (!isSuitable(client, hosts, false)) throw noHost(hosts, null);
    },
  };
}
