import { statfs } from 'node:fs/promises';
import { totalmem } from 'node:os';
import { SOCKET_FOLDER_SETTING, SOCKET_PORT } from './postmaster-pid.ts';

export type Settings = Readonly<Record<string, string>>;

/**
 * For servers that are thrown away (tests): half the time to the first connection, and nothing waits for the disk.
 * Never for data that somebody wants to find again.
 */
export const THROW_AWAY_SETTINGS: Settings = {
  fsync: 'off',
  synchronous_commit: 'off',
  full_page_writes: 'off',
  shared_buffers: '128MB',
  max_wal_size: '1GB',
};

/** What the launcher relies on: given on the command line, so that no configuration file can change it. */
export const FIXED_SETTINGS: Settings = {
  // Reachable through a socket in a folder that only the owner can enter, and in no other way.
  listen_addresses: '',
  port: String(SOCKET_PORT),
  unix_socket_directories: SOCKET_FOLDER_SETTING,
  // The log must not depend on a terminal that is closed some day.
  logging_collector: 'on',
  log_directory: 'log',
  // A new file at each start and at 10 MB; the launcher removes the oldest ones (see cluster-log.ts).
  log_filename: 'postgresql-%Y%m%d-%H%M%S.log',
  log_rotation_size: '10MB',
  log_rotation_age: '0',
};

/** Memory and disk of the machine, as far as settings depend on them. */
export interface Machine {
  readonly memoryBytes: number;
  /** Size of /dev/shm, or null where there is none. */
  readonly sharedMemoryBytes: number | null;
}

export async function measureMachine(): Promise<Machine> {
  // A container's limit where there is one; without a limit this is 0 or far above the memory.
  const limit = process.constrainedMemory();
  const memoryBytes = limit > 0 ? Math.min(limit, totalmem()) : totalmem();
  const shm = await statfs('/dev/shm').catch(() => null);
  return { memoryBytes, sharedMemoryBytes: shm === null ? null : shm.bsize * shm.blocks };
}

const MB = 1024 * 1024;

/** Settings for a small real installation; a person's own in postgresql.conf or ALTER SYSTEM win over them. */
export function defaultSettings(machine: Machine): Settings {
  const memoryMb = Math.floor(machine.memoryBytes / MB);
  const between = (low: number, value: number, high: number): string =>
    `${Math.max(low, Math.min(Math.floor(value), high))}MB`;
  return {
    // Acknowledged means on disk: these three are the default, and written down so that nobody doubts it.
    fsync: 'on',
    synchronous_commit: 'on',
    full_page_writes: 'on',
    // A quarter of the memory is the usual advice; above 1 GB the file cache does as well and other programs live here too.
    shared_buffers: between(64, memoryMb / 4, 1024),
    effective_cache_size: between(256, memoryMb / 2, 64 * 1024),
    // Sorting and hashing of pages and reports; several per query, so far below the memory.
    work_mem: between(4, memoryMb / 512, 32),
    // Index builds and vacuum after an import.
    maintenance_work_mem: between(64, memoryMb / 32, 512),
    // Pool, read clients, jobs and a few CLI commands beside each other.
    max_connections: '100',
    // A statement over all months locks each partition and each of its indexes; 64 a connection run out at five tables.
    max_locks_per_transaction: '256',
    // Bulk loads write fast: with the default of 1 GB they checkpoint every few seconds and write each page again in full.
    max_wal_size: '4GB',
    min_wal_size: '256MB',
    checkpoint_timeout: '15min',
    // Backups with pg_basebackup stay possible; nothing here decodes the log, so not `logical`.
    wal_level: 'replica',
    // These builds have no lz4 and zstd, and pglz costs more time than the smaller log saves.
    wal_compression: 'off',
    // Solid-state disks: a random page costs about what the next one costs.
    random_page_cost: '1.1',
    // Statements here take less time than compiling them would.
    jit: 'off',
    // Days are UTC days; no session may think otherwise because of the machine it runs on.
    timezone: 'UTC',
    log_timezone: 'UTC',
    // Statements and details of errors hold customers' data (and tokens): neither belongs in a log.
    log_min_error_statement: 'panic',
    log_error_verbosity: 'terse',
    log_checkpoints: 'off',
    // Containers give /dev/shm 64 MB, too small for a parallel hash join: use files in the data folder instead.
    ...(machine.sharedMemoryBytes === null || machine.sharedMemoryBytes >= 256 * MB
      ? {}
      : { dynamic_shared_memory_type: 'mmap' }),
  };
}

/** As lines of a PostgreSQL configuration file. */
export function settingsFile(settings: Settings): string {
  const lines = Object.entries(settings).map(([name, value]) => `${name} = '${value.replaceAll("'", "''")}'`);
  return `# Written by Milliard at each start. Your own settings go into postgresql.conf, below the line that includes this file.\n${lines.join('\n')}\n`;
}

/** As arguments of the server: `-c name=value`. */
export function settingsArgs(settings: Settings): string[] {
  return Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
}
