import type { Terminal } from './terminal.ts';

/** The last lines of a terminal, painted anew while something goes on. */
export interface LiveLines {
  /** Characters a line may have. */
  columns(): number;
  paint(lines: readonly string[]): void;
  /** Runs `write`, which writes whole lines, above the painted ones. */
  above(write: () => void): void;
  /** Takes the painted lines away. */
  clear(): void;
}

const clearLine = '\x1b[2K';
const upOneLine = '\x1b[1A';

export function createLiveLines(stream: Terminal): LiveLines {
  let painted: readonly string[] = [];
  // The cursor stands behind the last painted line: back to the beginning of the first, each line emptied on the way.
  const erased = (): string =>
    painted.length === 0 ? '' : `\r${clearLine}${`${upOneLine}${clearLine}`.repeat(painted.length - 1)}`;
  const clear = (): void => {
    if (painted.length > 0) stream.write(erased());
    painted = [];
  };
  const paint = (lines: readonly string[]): void => {
    stream.write(`${erased()}${lines.join('\n')}`);
    painted = lines;
  };
  return {
    // The last column stays free: writing into it would break the line on some terminals.
    columns: () => Math.max(10, (stream.columns ?? 80) - 1),
    paint,
    above(write) {
      const lines = painted;
      clear();
      write();
      if (lines.length > 0) paint(lines);
    },
    clear,
  };
}
