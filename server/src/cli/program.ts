import { Command, Option } from 'commander';
import { configVariables } from '../config.ts';
import { clusterCommand } from './commands/cluster.ts';
import { dbCommand } from './commands/db.ts';
import { devCommand } from './commands/dev.ts';
import { jobsCommand } from './commands/jobs.ts';
import { keysCommand } from './commands/keys.ts';
import { migrateCommand } from './commands/migrate.ts';
import { openapiCommand } from './commands/openapi.ts';
import { ordersCommand } from './commands/orders.ts';
import { serveCommand } from './commands/serve.ts';
import { shipmentsCommand } from './commands/shipments.ts';
import { ticketsCommand } from './commands/tickets.ts';
import { usageCommand } from './commands/usage.ts';
import { verifyCommand } from './commands/verify.ts';
import { type CliContext, exitCodes } from './context.ts';
import { endingOf } from './failure.ts';
import { Ended, Stopped } from './stopped.ts';

/** Every command, in the order of the help. A new one is registered here and nowhere else. */
const commands: readonly ((context: CliContext) => Command)[] = [
  devCommand,
  serveCommand,
  migrateCommand,
  dbCommand,
  keysCommand,
  ordersCommand,
  shipmentsCommand,
  ticketsCommand,
  usageCommand,
  verifyCommand,
  jobsCommand,
  clusterCommand,
  openapiCommand,
];

const variables = Object.entries(configVariables).map(([name, meaning]) => `  ${name.padEnd(32)}${meaning}`);

const epilogue = `
Environment:
${variables.join('\n')}

Exit codes:
  0  done
  1  failed; the message says why
  2  a wrong flag, argument, file or configuration: nothing was done
  4  a job was paused; milliard jobs resume goes on
  5  a job was cancelled
  130, 143  ended by Ctrl-C or SIGTERM`;

function createProgram(context: CliContext): Command {
  const program = new Command('milliard')
    .description(
      'Order operations on PostgreSQL. Without DATABASE_URL, commands use the embedded database of --data-dir.',
    )
    .version(context.version)
    .addOption(new Option('--data-dir <dir>', 'folder of the embedded database (MILLIARD_DATA_DIR, .milliard)'))
    .option('--json', 'one JSON document a line on standard output; everything for people on standard error')
    .addHelpText('after', epilogue)
    .helpCommand(false);
  for (const command of commands) program.addCommand(command(context));
  prepare(program, context);
  return program;
}

/** What every command does alike, however deep it stands: throw instead of ending the process, show the global options. */
function prepare(command: Command, context: CliContext): void {
  command
    .exitOverride()
    .configureHelp({ showGlobalOptions: true })
    .configureOutput({
      writeOut: (text) => void context.stdout.write(text),
      writeErr: (text) => void context.stderr.write(text),
      outputError: (text, write) =>
        write(`${text.trim().replace(/^error: /, 'milliard: ')}\nTry: ${pathOf(command)} --help\n`),
    })
    .showSuggestionAfterError();
  for (const child of command.commands) prepare(child, context);
}

const pathOf = (command: Command): string =>
  command.parent === null ? command.name() : `${pathOf(command.parent)} ${command.name()}`;

/**
 * Runs one command line.
 * @param args without the names of node and the program
 * @returns the exit code
 */
export async function runCli(args: readonly string[], context: CliContext): Promise<number> {
  try {
    await createProgram(context).parseAsync(args, { from: 'user' });
    return exitCodes.done;
  } catch (error) {
    const { reason } = context.signal;
    // Whoever was asked to stop and ended properly says with which code: a job that was paused ends with 4.
    const isStopped = context.signal.aborted && reason instanceof Stopped && !(error instanceof Ended);
    const ending = endingOf(isStopped ? reason : error);
    if (ending.message !== '') context.stderr.write(`milliard: ${ending.message}\n`);
    return ending.exitCode;
  }
}
