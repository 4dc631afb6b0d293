import { Command } from 'commander';
import { type CliContext, type Run, runOf } from './context.ts';
import { Ended } from './stopped.ts';

export interface CommandTexts {
  readonly description: string;
  /** Command lines that work, with what they do. */
  readonly examples: readonly (readonly [line: string, meaning: string])[];
  /** Exit codes that mean something special here. */
  readonly exitCodes?: readonly (readonly [code: number, meaning: string])[];
  /** What 130 and 143 mean here. */
  readonly endedBySignal?: string;
}

/** A command with its help: description, examples, exit codes. */
export function describedCommand(name: string, texts: CommandTexts): Command {
  const examples = texts.examples.map(([line, meaning]) => `  $ ${line}\n      ${meaning}`);
  const codes = texts.exitCodes ?? [];
  const exits = [
    ...codes.map(([code, meaning]) => `  ${code}  ${meaning}`),
    ...standardExits
      .filter(([code]) => !codes.some(([own]) => own === code))
      .map(([code, meaning]) => `  ${code}  ${meaning}`),
    `  130, 143  ${texts.endedBySignal ?? 'ended by Ctrl-C or SIGTERM'}`,
  ].sort((a, b) => Number.parseInt(a, 10) - Number.parseInt(b, 10));
  return new Command(name)
    .description(texts.description)
    .addHelpText('after', `\nExamples:\n${examples.join('\n')}\n\nExit codes:\n${exits.join('\n')}`);
}

const standardExits: readonly (readonly [number, string])[] = [
  [0, 'done'],
  [1, 'failed; the message says why'],
  [2, 'a wrong flag, argument, file or configuration: nothing was done'],
];

/**
 * Makes a function the action of a command. It gets the run, its options and its arguments; a number it returns is the exit
 * code, nothing means 0.
 */
export function does<Options extends object>(
  command: Command,
  context: CliContext,
  work: (run: Run, options: Options, args: readonly string[]) => Promise<number | undefined>,
): Command {
  return command.action(async () => {
    const exitCode = await work(runOf(context, command), command.opts<Options>(), command.args);
    if (exitCode !== undefined && exitCode !== 0) throw new Ended(exitCode);
  });
}
