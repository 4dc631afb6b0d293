import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import pg from 'pg';

/** A way to the database that breaks when told. */
export interface CommitCutter {
  /** Connection string of the same database through the cutter. */
  readonly url: string;
  /**
   * Breaks the connection at the next COMMIT that passes: `before` the server sees it (nothing is stored), or `after` it was
   * carried out and before the client learns of it (everything is stored).
   */
  cutNextCommit(when: 'before' | 'after'): void;
  /** The same for the n-th commit from now on, counted from 0. */
  cutCommit(n: number, when: 'before' | 'after'): void;
  /** Commits that passed. */
  commits(): number;
  /** true: every connection breaks and every new one at once, as if the server were gone. */
  setAway(isAway: boolean): void;
  close(): Promise<void>;
}

/** Listens on a free port of this machine and passes everything on to the server of `url`. */
export async function openCommitCutter(url: string): Promise<CommitCutter> {
  const { host, port } = new pg.Client({ connectionString: url });
  const target = host.startsWith('/') ? { path: `${host}/.s.PGSQL.${port}` } : { host, port };
  const open = new Set<Socket>();
  let armed: { when: 'before' | 'after'; atCommit: number } | null = null;
  let passed = 0;
  let away = false;

  const listener = createServer((client) => {
    if (away) return void client.destroy();
    const server = connect(target);
    const cut = () => {
      client.destroy();
      server.destroy();
    };
    let cutAtAnswer = false;
    client.on('data', (data) => {
      if (data.includes('commit\0') && armed?.atCommit === passed++) {
        cutAtAnswer = armed.when === 'after';
        armed = null;
        if (!cutAtAnswer) return cut();
      }
      server.write(data);
    });
    server.on('data', (data) => (cutAtAnswer ? cut() : client.write(data)));
    for (const socket of [client, server]) {
      open.add(socket);
      socket.on('error', cut);
      socket.on('close', () => {
        open.delete(socket);
        cut();
      });
    }
  });
  await new Promise<void>((resolve) => listener.listen(0, '127.0.0.1', resolve));

  const through = new URL(url);
  through.searchParams.delete('host');
  through.searchParams.delete('port');
  through.host = `127.0.0.1:${(listener.address() as AddressInfo).port}`;
  return {
    url: through.href,
    cutNextCommit(when) {
      armed = { when, atCommit: passed };
    },
    cutCommit(n, when) {
      armed = { when, atCommit: passed + n };
    },
    commits: () => passed,
    setAway(isAway) {
      away = isAway;
      if (away) for (const socket of open) socket.destroy();
    },
    async close() {
      for (const socket of open) socket.destroy();
      await new Promise((resolve) => listener.close(resolve));
    },
  };
}
