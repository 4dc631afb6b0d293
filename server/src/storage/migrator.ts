import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { runner } from 'node-pg-migrate';
import type pg from 'pg';
import { connect } from './connection.ts';
import { findCoordinatorUrl } from './coordinator.ts';
import { distribute } from './distribution-step.ts';
import { classifyFault, StorageError, toStorageError } from './faults.ts';
import { statementsOf } from './script.ts';
import { oldestServerVersion, recogniseServer } from './topology.ts';
import { sessionOf } from './transaction.ts';

// Beside this file from source, beside the bundle in the built product.
const migrationsDir = fileURLToPath(new URL('./migrations', import.meta.url));
const migrationsTable = 'schema_migrations';

export interface MigrateOptions {
  readonly url: string;
  /** Shards of a table on Citus, counted only before the tables are distributed. Default 16. */
  readonly shards?: number;
  readonly log?: (line: string) => void;
}

/** The names of the migrations this version brings, in order. */
export function knownMigrations(): string[] {
  if (!existsSync(migrationsDir))
    throw new Error(`The folder of migrations is missing: ${migrationsDir}. Build again.`);
  return readdirSync(migrationsDir)
    .filter((f) => f.endsWith('.sql'))
    .map((f) => f.slice(0, -'.sql'.length))
    .sort();
}

/** The SQL of one migration, for tables that are also made in databases that are not migrated. */
export const migrationText = (name: string): string => readFileSync(join(migrationsDir, `${name}.sql`), 'utf8');

/**
 * Brings the schema up to this version; safe to run by several processes at once (one waits for the other). On Citus it works on the
 * coordinator, wherever `url` leads, and sees to it that each table lives as storage/distribution.ts says.
 * @returns the names of the migrations that were applied now
 * @throws StorageError `schema_mismatch` when the database was migrated by a newer version, or Citus is not ready for it
 */
export async function migrate({ url, shards, log }: MigrateOptions): Promise<string[]> {
  let client: pg.Client | null = null;
  try {
    const server = await connectForDdl(url);
    client = server.client;
    await refuseOldServer(client);
    // Two first starts at once must not both create the migrations table: the tool's own lock comes after that step.
    await client.query(`select pg_advisory_lock(hashtext('milliard migrate'))`);
    refuseNewerSchema(await appliedMigrations(client));
    const applied = await runner({
      dbClient: server.isCitus ? oneByOne(client) : client,
      dir: migrationsDir,
      migrationsTable,
      direction: 'up',
      noLock: true,
      checkOrder: true,
      log: () => {},
    });
    for (const { name } of applied) log?.(`applied ${name}`);
    if (server.isCitus)
      await distribute(sessionOf(client).run, {
        ...(shards === undefined ? {} : { shards }),
        ...(log === undefined ? {} : { log }),
      });
    return applied.map(({ name }) => name);
  } catch (error) {
    throw toStorageError(error);
  } finally {
    await client?.end().catch(() => {});
  }
}

/** A connection where DDL belongs: of a Citus database to its coordinator. */
async function connectForDdl(url: string): Promise<{ client: pg.Client; isCitus: boolean }> {
  const options = { applicationName: 'milliard migrate', statementTimeoutMs: 0, connectTimeoutMs: 10_000 };
  const client = await connect({ ...options, url });
  try {
    const { run } = sessionOf(client);
    const { topology } = await recogniseServer({ query: run });
    if (topology === 'single') return { client, isCitus: false };
    const coordinatorUrl = await findCoordinatorUrl(run, url);
    if (coordinatorUrl === url) return { client, isCitus: true };
    const there = await connect({ ...options, url: coordinatorUrl });
    await client.end();
    return { client: there, isCitus: true };
  } catch (error) {
    await client.end().catch(() => {});
    throw error;
  }
}

/** The same client for the migration tool, which sends a migration as one text. */
function oneByOne(client: pg.Client): pg.Client {
  const query = async (text: unknown, values?: unknown[]): Promise<unknown> => {
    if (typeof text !== 'string' || values !== undefined) return client.query(text as string, values);
    let result: unknown;
    for (const statement of statementsOf(text)) result = await client.query(statement);
    return result;
  };
  return new Proxy(client, { get: (target, name) => (name === 'query' ? query : Reflect.get(target, name, target)) });
}

/** Migrations that this version brings and the database has not seen. @throws StorageError as `migrate` does */
export async function pendingMigrations(client: {
  query(text: string): Promise<{ rows: { name: string }[] }>;
}): Promise<string[]> {
  const applied = await appliedMigrations(client);
  refuseNewerSchema(applied);
  return knownMigrations().filter((name) => !applied.includes(name));
}

async function appliedMigrations(client: {
  query(text: string): Promise<{ rows: { name: string }[] }>;
}): Promise<string[]> {
  try {
    return (await client.query(`select name from ${migrationsTable} order by id`)).rows.map(({ name }) => name);
  } catch (error) {
    if (classifyFault(error).kind === 'missing_object') return [];
    throw error;
  }
}

function refuseNewerSchema(applied: readonly string[]): void {
  const known = new Set(knownMigrations());
  const unknown = applied.filter((name) => !known.has(name));
  if (unknown.length === 0) return;
  throw new StorageError(
    'schema_mismatch',
    `The database was migrated by a newer version of Milliard (${unknown.join(', ')}). Run that version, or restore a backup.`,
  );
}

async function refuseOldServer(client: pg.Client): Promise<void> {
  const { rows } = await client.query<{ server_version_num: string }>('show server_version_num');
  const version = Number(rows[0]?.server_version_num);
  if (version >= oldestServerVersion) return;
  throw new StorageError(
    'schema_mismatch',
    `PostgreSQL ${Math.floor(version / 10_000)} is too old: Milliard needs 15 or newer.`,
  );
}
