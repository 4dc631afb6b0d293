import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import pg from 'pg';

/** A way to the database that can fall silent, as a network that swallows packets does: connections stand, nothing arrives. */
export interface SilentNetwork {
  /** Connection string of the same database through it. */
  readonly url: string;
  /** From now on nothing passes; who connects waits for an answer. */
  fallSilent(): void;
  /** What was sent in the meantime passes, then everything does. */
  passOn(): void;
  close(): Promise<void>;
}

/** Listens on a free port of this machine and passes everything on to the server of `url`. */
export async function openSilentNetwork(url: string): Promise<SilentNetwork> {
  const { host, port } = new pg.Client({ connectionString: url });
  const target = host.startsWith('/') ? { path: `${host}/.s.PGSQL.${port}` } : { host, port };
  const open = new Set<Socket>();
  let isSilent = false;

  const listener = createServer((client) => {
    const server = connect(target);
    client.pipe(server);
    server.pipe(client);
    for (const socket of [client, server]) {
      open.add(socket);
      if (isSilent) socket.pause();
      socket.on('error', () => {
        client.destroy();
        server.destroy();
      });
      socket.on('close', () => open.delete(socket));
    }
  });
  listener.listen(0, '127.0.0.1');
  await once(listener, 'listening');

  const through = new URL(url);
  through.searchParams.delete('host');
  through.searchParams.delete('port');
  through.host = `127.0.0.1:${(listener.address() as AddressInfo).port}`;
  return {
    url: through.href,
    fallSilent() {
      isSilent = true;
      for (const socket of open) socket.pause();
    },
    passOn() {
      isSilent = false;
      for (const socket of open) socket.resume();
    },
    async close() {
      for (const socket of open) socket.destroy();
      listener.close();
      await once(listener, 'close');
    },
  };
}
