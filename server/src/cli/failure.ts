import { CommanderError } from 'commander';
import { ConfigError } from '../config.ts';
import { ImportFileError } from '../core/csv-columns.ts';
import { DomainError } from '../core/errors.ts';
import { InputFileError } from '../flows/input-file.ts';
import { EmbeddedError } from '../storage/embedded/embedded-error.ts';
import { StorageError } from '../storage/faults.ts';
import { exitCodes } from './context.ts';
import { Ended, Stopped, UsageError } from './stopped.ts';

/** How a command ends when something was thrown. */
export interface Ending {
  readonly exitCode: number;
  /** What a person is told; empty when everything was said already. */
  readonly message: string;
}

/** The sentence and the exit code for an error. An error nobody foresaw keeps its stack: it is a bug to be reported. */
export function endingOf(error: unknown): Ending {
  if (error instanceof CommanderError) {
    const shown = error.code === 'commander.helpDisplayed' || error.code === 'commander.version';
    return { exitCode: shown ? exitCodes.done : exitCodes.usage, message: '' };
  }
  if (error instanceof Stopped || error instanceof Ended) return { exitCode: error.exitCode, message: error.message };
  if (
    error instanceof UsageError ||
    error instanceof ConfigError ||
    error instanceof ImportFileError ||
    error instanceof InputFileError
  ) {
    return { exitCode: exitCodes.usage, message: error.message };
  }
  if (error instanceof DomainError || error instanceof EmbeddedError || error instanceof StorageError) {
    return { exitCode: exitCodes.failed, message: withCause(error) };
  }
  return {
    exitCode: exitCodes.failed,
    message: error instanceof Error ? (error.stack ?? error.message) : String(error),
  };
}

/** The database's own words, where there are any: the person at the command line is its administrator. */
function withCause({ message, cause }: Error): string {
  return cause instanceof Error && cause.message !== '' ? `${message} (${cause.message})` : message;
}
