import type { Readable } from 'node:stream';
import type { Command } from 'commander';
import { type App, openApp } from '../app.ts';
import { type Config, type ConfigFlags, type Environment, parseConfig } from '../config.ts';
import type { Logger } from '../core/ports.ts';
import { acquireEmbedded } from '../storage/embedded/embedded-postgres.ts';
import { requireMigrated } from '../storage/migration-check.ts';
import { migrate } from '../storage/migrator.ts';
import { createOutput, type Output } from './output.ts';
import type { Terminal } from './terminal.ts';

/** Exit codes that every command shares. A command's help names its own use of them. */
export const exitCodes = {
  done: 0,
  failed: 1,
  usage: 2,
  rejected: 3,
  /** A job stands at a checkpoint, to be gone on with. */
  paused: 4,
  cancelled: 5,
  interrupted: 130,
  terminated: 143,
} as const;

/** What the process gives to its commands. Built once, in main.ts. */
export interface CliContext {
  readonly environment: Environment;
  readonly stdin: Readable;
  readonly stdout: Terminal;
  readonly stderr: Terminal;
  /** Aborted by the first SIGINT or SIGTERM; the reason is a Stopped with the exit code. */
  readonly signal: AbortSignal;
  /** The folder of the package: package.json, openapi.json, sample-data. */
  readonly packageDir: string;
  readonly version: string;
}

/** One run of a command. */
export interface Run {
  readonly context: CliContext;
  readonly output: Output;
  readonly signal: AbortSignal;
  /** The configuration; read only when a command asks for it. @throws ConfigError */
  config(): Config;
}

/** What is the same wherever it stands: the global options, and those of the commands that serve. */
interface SharedOptions extends ConfigFlags {
  readonly json?: boolean;
}

/** What a command works with, from its own and the global options. */
export function runOf(context: CliContext, command: Command): Run {
  const { json = false, ...flags } = command.optsWithGlobals<SharedOptions>();
  return {
    context,
    output: createOutput({ ...context, json }),
    signal: context.signal,
    config: () => parseConfig(context.environment, flags),
  };
}

/**
 * Runs `work` with the address of a migrated database: DATABASE_URL, which must be migrated, or the embedded one, which is
 * started and migrated as needed and let go afterwards.
 * @param purpose what the process does, for those who find the data folder in use
 */
async function withDatabase<T>(run: Run, purpose: string, work: (url: string) => Promise<T>): Promise<T> {
  const { database } = run.config();
  if (database.url !== null) {
    await requireMigrated(database.url, database.connectTimeoutMs);
    return work(database.url);
  }
  const server = await acquireEmbedded({ dataDir: database.dataDir, log: (step) => run.output.note(step), purpose });
  try {
    run.signal.throwIfAborted();
    await migrate({ url: server.url });
    return await work(server.url);
  } finally {
    await server.release();
  }
}

/** Runs `work` with everything the product is made of, on a migrated database; closes it whatever happens. */
export function withApp<T>(run: Run, purpose: string, work: (app: App) => Promise<T>): Promise<T> {
  return withDatabase(run, purpose, async (databaseUrl) => {
    const config = run.config();
    // The limit of a statement is meant for requests; a command may take as long as it needs.
    const patient = { ...config, database: { ...config.database, statementTimeoutMs: 0 } };
    const app = await openApp(patient, {
      databaseUrl,
      logger: stderrLogger(run.output),
      applicationName: `milliard ${purpose}`,
      version: run.context.version,
    });
    try {
      return await work(app);
    } finally {
      await app.close();
    }
  });
}

/** Of what the parts report, a person at a terminal is told of what went wrong. */
export const stderrLogger = (output: Output): Logger => ({
  debug() {},
  info() {},
  warn: (_, message) => output.warn(`warning: ${message}`),
  error: (_, message) => output.warn(`error: ${message}`),
});
