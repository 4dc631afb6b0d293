import { SingleBar } from 'cli-progress';
import type { Terminal } from './terminal.ts';

export interface ProgressOptions {
  /** What is going on: "reading". */
  readonly title: string;
}

/** How far a long work is. */
export interface Progress {
  /**
   * @param done so many of `total`; with a total of null nobody knows how many there are
   * @param text what a person reads beside the bar: "12,000 rows"
   */
  update(done: number, total: number | null, text: string): void;
  /** Leaves the last state standing. */
  stop(): void;
}

// In a log a line now and then is enough.
const lineIntervalMs = 5_000;
const spaceFor = 40;

/** A bar on a terminal, a line every five seconds in a pipe. */
export const createProgress = (stream: Terminal, options: ProgressOptions): Progress =>
  stream.isTTY === true ? createBar(stream, options) : createLines(stream, options);

function createBar(stream: Terminal, { title }: ProgressOptions): Progress {
  const bar = new SingleBar({
    stream: stream as NodeJS.WriteStream,
    format: `${title.padEnd(9)} [{bar}] {percentage}% {text}`,
    barsize: Math.max(10, Math.min(40, (stream.columns ?? 80) - spaceFor)),
    barCompleteChar: '=',
    barIncompleteChar: ' ',
    hideCursor: true,
    stopOnComplete: false,
    // The signal belongs to the program, which ends the bar.
    gracefulExit: false,
  });
  let started = false;
  return {
    update(done, total, text) {
      if (!started) bar.start(total ?? 1, 0, { text });
      started = true;
      if (total !== null) bar.setTotal(total);
      bar.update(total === null ? 0 : Math.min(done, total), { text });
    },
    stop() {
      if (started) bar.stop();
    },
  };
}

function createLines(stream: Terminal, { title }: ProgressOptions): Progress {
  let nextMs = performance.now() + lineIntervalMs;
  let last: string | null = null;
  return {
    update(done, total, text) {
      const percent = total === null || total === 0 ? '' : ` ${Math.floor((100 * Math.min(done, total)) / total)}%`;
      last = `${title}${percent}: ${text}\n`;
      if (performance.now() < nextMs) return;
      nextMs = performance.now() + lineIntervalMs;
      stream.write(last);
      last = null;
    },
    stop() {
      if (last !== null) stream.write(last);
      last = null;
    },
  };
}
