import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll } from 'vitest';
import type { Database } from '../storage/database.ts';
import { acquireEmbedded, type EmbeddedServer } from '../storage/embedded/embedded-postgres.ts';
import { migrate } from '../storage/migrator.ts';
import { type MilliardCommand, runMilliard, spawnMilliard } from './milliard-process.ts';
import { createTestClient } from './open-database.ts';

/** A data folder with its PostgreSQL, migrated, and commands of the built product on it. */
export interface DataFolder {
  readonly folder: string;
  readonly server: EmbeddedServer;
  readonly db: Database;
  /** Begins a command on the folder and does not wait. */
  start(...args: string[]): MilliardCommand;
  /** Runs a command on the folder to its end. */
  run(...args: string[]): Promise<{ exitCode: number; stdout: string; stderr: string }>;
}

/**
 * A data folder of the test file's own; gone when its tests have ended. This process is one of those that hold it, so
 * PostgreSQL stays when a command is killed.
 */
export async function openDataFolder(purpose: string): Promise<DataFolder> {
  const folder = await mkdtemp(join(tmpdir(), 'milliard-folder-'));
  afterAll(() => rm(folder, { recursive: true, force: true }));
  const server = await acquireEmbedded({ dataDir: folder, purpose });
  afterAll(() => server.release());
  await migrate({ url: server.url });
  const db = createTestClient(server.url);
  afterAll(() => db.close());
  const onFolder = (args: readonly string[]) => ({ args: [...args, '--data-dir', folder] });
  return {
    folder,
    server,
    db,
    start: (...args) => spawnMilliard(onFolder(args)),
    async run(...args) {
      const { code: exitCode, stdout, stderr } = await runMilliard(onFolder(args));
      return { exitCode, stdout, stderr };
    },
  };
}

/** Stops PostgreSQL as `pg_ctl stop -m immediate` does, and starts it again: no checkpoint, recovery from the WAL. */
export async function crashDatabase(dataDir: string, server: EmbeddedServer): Promise<void> {
  const pidFile = await readFile(join(dataDir, 'postgres', 'postmaster.pid'), 'utf8');
  process.kill(Number(pidFile.split('\n')[0]), 'SIGQUIT');
  await server.ensureRunning();
}
