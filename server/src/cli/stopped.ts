/** Somebody asked the process to end: Ctrl-C, SIGTERM, or the reader of a pipe that has gone. */
export class Stopped extends Error {
  override readonly name = 'Stopped';
  readonly exitCode: number;

  constructor(message: string, exitCode: number) {
    super(message);
    this.exitCode = exitCode;
  }
}

/** What was typed cannot be done: exit code 2. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/** A command has ended and said everything; only its exit code is left to be told. */
export class Ended extends Error {
  override readonly name = 'Ended';
  readonly exitCode: number;

  constructor(exitCode: number) {
    super('');
    this.exitCode = exitCode;
  }
}
