import type { Writable } from 'node:stream';
import Table from 'cli-table3';
import pc from 'picocolors';
import { createLiveLines, type LiveLines } from './live-lines.ts';
import { createProgress, type Progress, type ProgressOptions } from './progress.ts';
import type { Terminal } from './terminal.ts';

/**
 * Where a command speaks. With `--json`, standard output carries nothing but one JSON document a line, and what is meant for
 * a person goes to standard error; without it the result goes to standard output.
 */
export interface Output {
  readonly json: boolean;
  /** One line of NDJSON; nothing without `--json`. Waits for a slow reader. */
  record(document: object): Promise<void>;
  /** Part of the result, for a person. */
  say(text: string): void;
  /** Something beside the result: a step, a hint. */
  note(text: string): void;
  warn(text: string): void;
  /** A table, part of the result for a person. */
  table(head: readonly string[], rows: readonly (readonly (string | number)[])[]): void;
  /** The result itself as bytes, when it is a file to be piped on. Waits for a slow reader. */
  write(text: string): Promise<void>;
  progress(options: ProgressOptions): Progress;
  /** One line for a log, on standard error. */
  log(line: string): void;
  /** Lines that are painted anew at the bottom of the terminal; null where standard error is none that can. */
  readonly live: LiveLines | null;
}

export interface OutputOptions {
  readonly stdout: Terminal;
  readonly stderr: Terminal;
  readonly json: boolean;
  /** NO_COLOR and TERM are read from it. */
  readonly environment: Readonly<Record<string, string | undefined>>;
}

export function createOutput({ stdout, stderr, json, environment }: OutputOptions): Output {
  const plain = (environment['NO_COLOR'] ?? '') !== '' || environment['TERM'] === 'dumb';
  const people = json ? stderr : stdout;
  const colours = pc.createColors(people.isTTY === true && !plain);
  const alarms = pc.createColors(stderr.isTTY === true && !plain);
  const live = stderr.isTTY === true && environment['TERM'] !== 'dumb' ? createLiveLines(stderr) : null;
  const put = (target: Terminal, text: string): void => {
    if (live === null) target.write(text);
    else live.above(() => target.write(text));
  };
  return {
    json,
    async record(document) {
      if (json) await written(stdout, `${JSON.stringify(document)}\n`);
    },
    say: (text) => put(people, `${text}\n`),
    note: (text) => put(stderr, `${alarms.dim(text)}\n`),
    warn: (text) => put(stderr, `${alarms.yellow(text)}\n`),
    table(head, rows) {
      const table = new Table({
        head: head.map((name) => colours.bold(name)),
        style: { head: [], border: [], compact: true },
        chars: borderless,
      });
      for (const row of rows) table.push([...row]);
      put(people, `${table.toString().replace(/[ \t]+$/gm, '')}\n`);
    },
    write: (text) => written(stdout, text),
    progress: (options) => createProgress(stderr, options),
    log: (line) => put(stderr, `${line}\n`),
    live,
  };
}

const borderless = {
  top: '',
  'top-mid': '',
  'top-left': '',
  'top-right': '',
  bottom: '',
  'bottom-mid': '',
  'bottom-left': '',
  'bottom-right': '',
  left: '',
  'left-mid': '',
  mid: '',
  'mid-mid': '',
  right: '',
  'right-mid': '',
  middle: ' ',
};

/** Resolves when the reader took it, rejects when the reader has gone. */
function written(target: Writable, text: string): Promise<void> {
  return new Promise((resolve, reject) => {
    target.write(text, (error) => (error == null ? resolve() : reject(error)));
  });
}
