import type { Command } from 'commander';
import { InvalidInputError } from '../../core/errors.ts';
import { describedCommand, does } from '../command.ts';
import { type CliContext, type Run, withApp } from '../context.ts';
import { type JobOptions, jobExits, readJobOptions, withJobOptions } from '../job-options.ts';
import { runJob } from '../run-job.ts';
import { UsageError } from '../stopped.ts';
import { startRegenerateUuidCommand } from './jobs-start-regenerate-uuid.ts';

/**
 * Kinds with a command line of their own: `milliard jobs start <name> …`. A new one is registered here. All others, and these
 * too under their kind's name, start with --param.
 */
const ownCommands: readonly ((context: CliContext) => Command)[] = [startRegenerateUuidCommand];

/** `milliard jobs start` */
export function startCommand(context: CliContext): Command {
  const start = describedCommand('start', {
    description:
      'Start a job of any kind, or go on with the unfinished one of the same parameters. It runs here, unless --detach. Flags for all kinds: `milliard jobs start any --help`. Most kinds have a command of their own that is easier to type.',
    examples: [
      ['milliard jobs start orders.verify --param repair=true --dry-run', 'what it would take; nothing is changed'],
      [
        'milliard jobs start orders.verify --parameters \'{"repair":true}\' --detach',
        'for the servers; `milliard jobs watch` shows how far it is',
      ],
      ['milliard jobs start', 'lists the kinds'],
    ],
    exitCodes: jobExits,
  }).usage('<kind> [options]');
  for (const command of ownCommands) start.addCommand(command(context));
  return start.addCommand(anyKindCommand(context), { isDefault: true });
}

interface AnyKindOptions extends JobOptions {
  readonly param: readonly string[];
  readonly parameters?: string;
}

const anyKindCommand = (context: CliContext): Command =>
  does<AnyKindOptions>(
    withJobOptions(
      describedCommand('any', {
        description: 'a job of any kind, with its parameters by name',
        examples: [
          ['milliard jobs start any orders.verify --param repair=true', 'what `jobs start orders.verify` does'],
        ],
        exitCodes: jobExits,
      })
        .argument('[kind]', 'the kind, e.g. orders.verify')
        .option(
          '--param <name=value>',
          'one parameter; a number, true, false or null is read as JSON, all else as text; again for more',
          (value: string, before: readonly string[]) => [...before, value],
          [],
        )
        .option('--parameters <json>', 'all parameters as a JSON object'),
    ),
    context,
    startAny,
  );

async function startAny(run: Run, options: AnyKindOptions, [kind]: readonly string[]): Promise<number> {
  const parameters = readParameters(options);
  const jobOptions = readJobOptions(options);
  return withApp(run, 'jobs start', async ({ jobs }) => {
    const kinds = jobs.kinds();
    const known = kinds.find(({ name }) => name === kind);
    if (known === undefined) {
      const list = kinds.map(({ name, title }) => `  ${name.padEnd(24)}${title}`).join('\n');
      throw new UsageError(
        `${kind === undefined ? 'Say which kind to start' : `There is no kind "${kind}"`}. The kinds are:\n${list}`,
      );
    }
    try {
      return await runJob(run, jobs, { kind: known.name, parameters, ...jobOptions });
    } catch (error) {
      throw error instanceof InvalidInputError ? toUsageError(error) : error;
    }
  });
}

const toUsageError = ({ errors }: InvalidInputError): UsageError =>
  new UsageError(
    errors
      .map(({ pointer, detail }) => `--param ${pointer.replace(/^\//, '').replaceAll('/', '.') || '(all)'}: ${detail}`)
      .join('; '),
  );

/** The parameters of --parameters, with those of --param over them. @throws UsageError */
export function readParameters({ param, parameters }: Pick<AnyKindOptions, 'param' | 'parameters'>): object {
  const given = Object.fromEntries(
    param.map((text) => {
      const at = text.indexOf('=');
      if (at < 1) throw new UsageError(`--param is "${text}": give name=value.`);
      return [text.slice(0, at), valueIn(text.slice(at + 1))];
    }),
  );
  return { ...readObject(parameters), ...given };
}

function readObject(text: string | undefined): object {
  if (text === undefined) return {};
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value;
  } catch {
    // Told below, together with what is JSON and no object.
  }
  throw new UsageError(`--parameters is no JSON object: give one such as '{"repair":true}'.`);
}

// Only what cannot be meant as text otherwise: "2026" is a number, "2026-01-01" is text.
const valueIn = (text: string): unknown =>
  /^(?:true|false|null|-?(?:0|[1-9]\d{0,14})(?:\.\d+)?|[[{"].*)$/s.test(text) ? parsedOr(text) : text;

function parsedOr(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
