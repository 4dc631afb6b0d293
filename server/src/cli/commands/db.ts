import { resolve } from 'node:path';
import type { Command } from 'commander';
import { embeddedStatus, stopEmbedded } from '../../storage/embedded/embedded-postgres.ts';
import { findPendingMigrations } from '../../storage/migration-check.ts';
import { describedCommand, does } from '../command.ts';
import { type CliContext, exitCodes, type Run } from '../context.ts';
import { UsageError } from '../stopped.ts';

/** `milliard db status|url|stop` */
export const dbCommand = (context: CliContext): Command =>
  describedCommand('db', {
    description: 'The database behind the commands: what it is, how to reach it, how to stop it.',
    examples: [['psql "$(milliard db url)"', 'a shell in the embedded database while `milliard dev` runs']],
  })
    .addCommand(statusCommand(context))
    .addCommand(urlCommand(context))
    .addCommand(stopCommand(context));

const statusCommand = (context: CliContext): Command =>
  does(
    describedCommand('status', {
      description:
        'What the database is, whether it runs, who uses it and whether its schema is up to date. Starts nothing.',
      examples: [['milliard db status --json | jq .state', '"running", "stopped" or "absent"']],
      exitCodes: [[0, 'the question was answered, running or not']],
    }),
    context,
    (run) => (run.config().database.url === null ? embedded(run) : own(run)),
  );

async function embedded(run: Run): Promise<undefined> {
  const { dataDir, connectTimeoutMs } = run.config().database;
  const status = await embeddedStatus(dataDir);
  const pending = status.url === undefined ? null : await findPendingMigrations(status.url, connectTimeoutMs);
  const { output } = run;
  output.say(
    `embedded PostgreSQL${status.version === undefined ? '' : ` ${status.version}`} in ${resolve(dataDir)}: ${status.state}`,
  );
  if (status.pid !== undefined) output.say(`process ${status.pid}, ${status.url ?? 'not reachable from here'}`);
  for (const { pid, purpose, since } of status.clients)
    output.say(`used by process ${pid} (${purpose}) since ${new Date(since).toISOString()}`);
  if (pending !== null) output.say(pendingText(pending));
  await output.record({
    kind: 'embedded',
    state: status.state,
    data_dir: resolve(dataDir),
    version: status.version ?? null,
    pid: status.pid ?? null,
    url: status.url ?? null,
    clients: status.clients.map(({ pid, purpose, since }) => ({ pid, purpose, since: new Date(since).toISOString() })),
    pending_migrations: pending,
  });
}

async function own(run: Run): Promise<undefined> {
  const { url, connectTimeoutMs } = run.config().database;
  const pending = await findPendingMigrations(url ?? '', connectTimeoutMs);
  run.output.say(`the database of DATABASE_URL answers\n${pendingText(pending)}`);
  await run.output.record({ kind: 'server', state: 'running', pending_migrations: pending });
}

const pendingText = (pending: readonly string[]): string =>
  pending.length === 0
    ? 'the schema is that of this version'
    : `migrations to be applied: ${pending.join(', ')} (milliard migrate)`;

const urlCommand = (context: CliContext): Command =>
  does(
    describedCommand('url', {
      description: 'The connection string, for psql and other clients.',
      examples: [['psql "$(milliard db url)"', 'while `milliard dev` runs']],
      exitCodes: [[1, 'the embedded database does not run']],
    }),
    context,
    async (run) => {
      const { database } = run.config();
      const url = database.url ?? (await embeddedStatus(database.dataDir)).url;
      if (url === undefined) {
        run.output.warn(
          `The embedded database of ${resolve(database.dataDir)} does not run. \`milliard dev\` starts it.`,
        );
        return exitCodes.failed;
      }
      run.output.say(url);
      await run.output.record({ url });
      return exitCodes.done;
    },
  );

const stopCommand = (context: CliContext): Command =>
  does<{ force?: boolean }>(
    describedCommand('stop', {
      description: 'Stop the embedded database. It stops by itself when the last process that uses it ends.',
      examples: [
        ['milliard db stop', 'refused while a process uses it'],
        ['milliard db stop --force', 'its users lose their connections; nothing that was committed is lost'],
      ],
      exitCodes: [[1, 'it is in use, or does not stop']],
    }).option('--force', 'stop it although it is in use'),
    context,
    async (run, { force = false }) => {
      const { url, dataDir } = run.config().database;
      if (url !== null)
        throw new UsageError(
          'DATABASE_URL is set: Milliard stops only the embedded database. Unset it to mean that one.',
        );
      const { stoppedPid } = await stopEmbedded(dataDir, { force });
      run.output.say(stoppedPid === null ? 'It does not run.' : `Stopped (process ${stoppedPid}).`);
      await run.output.record({ stopped_pid: stoppedPid });
      return exitCodes.done;
    },
  );
