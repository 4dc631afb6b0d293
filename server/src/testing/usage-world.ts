import { Readable } from 'node:stream';
import { silentLogger } from '../core/ports.ts';
import type { Instant } from '../core/time.ts';
import { openUsage, type Usage } from '../domains/usage/usage-service.ts';
import type { Database } from '../storage/database.ts';
import { type CommitCutter, openCommitCutter } from './commit-cutter.ts';
import { type HoldingDatabase, holdTransactions } from './holding-database.ts';
import { createTestClient } from './open-database.ts';

/** Usage as several servers on one database serve it. */
export interface UsageWorld {
  readonly usage: Usage;
  /** Another server. */
  readonly other: Usage;
  /** A third one, whose connections can be cut. */
  readonly fragile: Usage;
  readonly cutter: CommitCutter;
  /** A fourth one, whose transactions can be held open. */
  readonly slow: Usage;
  readonly holding: HoldingDatabase;
  readonly db: Database;
  readonly now: Instant;
  /** Days before today that take raw usage at the beginning. */
  readonly rawDays: number;
  /** One more, beside these. */
  openServer(): Promise<Usage>;
  /** Empties the database. */
  reset(): Promise<void>;
  close(): Promise<void>;
}

export async function openUsageWorld(url: string, now: Instant, rawDays: number): Promise<UsageWorld> {
  const cutter = await openCommitCutter(url);
  const databases = [createTestClient(url), createTestClient(url), createTestClient(cutter.url), createTestClient(url)];
  const [db, otherDb, fragileDb, slowDb] = databases as [Database, Database, Database, Database];
  const holding = holdTransactions(slowDb);
  const open = (on: Database, groupCommit = true): Promise<Usage> =>
    openUsage({
      db: on,
      clock: { now: () => now },
      logger: silentLogger,
      rawDays,
      rollupPauseMs: 100,
      groupCommit,
    });
  const usage = await open(db);
  const other = await open(otherDb);
  const fragile = await open(fragileDb);
  const slow = await open(holding.db, false);
  const servers = [usage, other, fragile, slow];
  return {
    usage,
    other,
    fragile,
    cutter,
    slow,
    holding,
    db,
    now,
    rawDays,
    async openServer() {
      const server = await open(db);
      servers.push(server);
      return server;
    },
    async reset() {
      await db.query({
        text: `truncate usage_records, usage_adjustments, usage_corrections, usage_batches, usage_daily, usage_totals,
                 usage_horizon, usage_day_drops, audit_log`,
        values: [],
      });
      for (const server of servers) await server.refreshHorizon();
    },
    async close() {
      for (const server of servers) await server.drain();
      for (const database of databases) await database.close();
      await cutter.close();
    },
  };
}

/** Sends bytes of an upload; all parts together. */
export async function upload(
  usage: Usage,
  bytes: Buffer,
  options: { readonly format: 'ndjson' | 'csv'; readonly producerKey: string | null; readonly partLines: number },
): Promise<{ accepted: number; duplicates: number; rejectedRows: number; replayed: boolean }> {
  const sum = { accepted: 0, duplicates: 0, rejectedRows: 0, replayed: true };
  for await (const part of usage.importBytes(Readable.from([bytes]), { ...options, actor: 'oracle' })) {
    sum.accepted += part.accepted;
    sum.duplicates += part.duplicates;
    sum.rejectedRows += part.rejectedRows;
    sum.replayed &&= part.replayed;
  }
  return sum;
}
