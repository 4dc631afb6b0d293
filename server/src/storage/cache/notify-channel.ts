import { Socket } from 'node:net';
import { type ConnectionOptions, connect } from '../connection.ts';
import type { Database } from '../database.ts';
import { type Announcement, announceEcho, changesChannel, parseAnnouncement } from './announcement.ts';

/** A way on which servers hear each other's announcements, all in the same order. */
export interface Channel {
  /**
   * Opens a line: from then on it hears everything that is sent, until it ends.
   * @throws when the database cannot be reached
   */
  listen(line: { heard(announcement: Announcement): void; ended(): void }): Promise<{ close(): void }>;
  /** Sends an echo by the way that writes take. Resolved: it was sent. */
  send(echo: string): Promise<void>;
}

/**
 * PostgreSQL's own LISTEN and NOTIFY, on a connection of its own. It needs a real session: behind a pooler that hands connections
 * out by the transaction nothing is heard, and change-feed.ts finds that out.
 */
export function createNotifyChannel(db: Pick<Database, 'read'>, options: ConnectionOptions): Channel {
  return {
    async listen({ heard, ended }) {
      // It never keeps the process from ending.
      const client = await connect({ ...options, statementTimeoutMs: 0, openSocket: () => new Socket().unref() });
      client.on('notification', ({ payload }) => {
        const announcement = payload === undefined ? null : parseAnnouncement(payload);
        if (announcement !== null) heard(announcement);
      });
      client.on('end', ended);
      const close = () => void client.end().catch(() => {});
      try {
        await client.query(`listen ${changesChannel}`);
      } catch (error) {
        close();
        throw error;
      }
      return { close };
    },
    send: async (echo) => void (await db.read(announceEcho(echo))),
  };
}
