import type { Command } from 'commander';
import type { Config } from '../../config.ts';
import { requireMigrated } from '../../storage/migration-check.ts';
import { describedCommand } from '../command.ts';
import { type CliContext, runOf } from '../context.ts';
import { requireFreePort, serveUntilStopped } from '../serving.ts';
import { UsageError } from '../stopped.ts';

/** `milliard serve`: production. */
export function serveCommand(context: CliContext): Command {
  return describedCommand('serve', {
    description:
      'Serve the API in production: your own PostgreSQL, API keys required. Run `milliard migrate` and `milliard keys create` before. SIGTERM drains: running requests and waiting writes are finished.',
    examples: [
      ['DATABASE_URL=postgres://milliard@db/milliard milliard serve --host 0.0.0.0', 'port 8000 of every address'],
    ],
    exitCodes: [[0, 'it served and was asked to stop (Ctrl-C, SIGTERM): what was under way is finished']],
    endedBySignal: 'ended by Ctrl-C or SIGTERM before it served',
  })
    .option('--port <port>', 'port to listen on (MILLIARD_PORT, 8000)')
    .option('--host <address>', 'address to listen on (MILLIARD_HOST, 127.0.0.1)')
    .action(async (_: object, command: Command) => {
      const run = runOf(context, command);
      const config = run.config();
      const databaseUrl = requireDatabaseUrl(config);
      await requireFreePort(config.http);
      await requireMigrated(databaseUrl, config.database.connectTimeoutMs);
      await serveUntilStopped({
        run,
        config,
        databaseUrl,
        mode: 'serve',
        prepare: async (app) => {
          if (isLoopback(config.http.host) || (await app.keys.exists())) return;
          throw new UsageError(
            `There is no API key, so nobody could use a server on ${config.http.host}. Make one first: milliard keys create --name shop --scopes orders:read,orders:write`,
          );
        },
        onListening: async (url, app) => {
          run.output.note(`Milliard serves ${url}`);
          if (!(await app.keys.exists()))
            run.output.warn('There is no API key yet: milliard keys create --name … --scopes …');
        },
      });
    });
}

function requireDatabaseUrl({ database }: Config): string {
  if (database.url !== null) return database.url;
  throw new UsageError(
    'serve needs your own PostgreSQL: set DATABASE_URL=postgres://user@host/database. For a first look on this machine: milliard dev',
  );
}

const isLoopback = (host: string): boolean => host === 'localhost' || host === '::1' || host.startsWith('127.');
