import { isUtf8 } from 'node:buffer';

/** Why a line could not be read as text. */
export type LineFault = 'line_too_long' | 'invalid_utf8';

export interface LineSink {
  /** A line without its line feed; numbers count from 1. A carriage return may stand at its end. */
  line(text: string, number: number): void;
  fault(fault: LineFault, number: number): void;
}

export interface LineSplitter {
  push(chunk: Buffer): void;
  /** The input ended; a last line without a line feed counts. */
  end(): void;
}

const lineFeed = 10;

/**
 * Cuts bytes into lines. Holds at most one unfinished line of `maxLineBytes`; what is longer is skipped up to its line feed.
 * Bytes are cut at line feeds first and decoded once a chunk, so a character is never torn.
 */
export function createLineSplitter(sink: LineSink, maxLineBytes: number): LineSplitter {
  let pending = Buffer.allocUnsafe(Math.min(maxLineBytes, 4_096));
  let pendingBytes = 0;
  let skipping = false;
  let number = 0;

  const keep = (bytes: Buffer): void => {
    if (skipping || bytes.length === 0) return;
    if (pendingBytes + bytes.length > maxLineBytes) {
      skipping = true;
      pendingBytes = 0;
      return;
    }
    if (pendingBytes + bytes.length > pending.length) {
      const larger = Buffer.allocUnsafe(
        Math.min(maxLineBytes, Math.max(pending.length * 2, pendingBytes + bytes.length)),
      );
      pending.copy(larger, 0, 0, pendingBytes);
      pending = larger;
    }
    bytes.copy(pending, pendingBytes);
    pendingBytes += bytes.length;
  };

  const oneLine = (bytes: Buffer): void => {
    number++;
    if (bytes.length > maxLineBytes) sink.fault('line_too_long', number);
    else if (isUtf8(bytes)) sink.line(bytes.toString('utf8'), number);
    else sink.fault('invalid_utf8', number);
  };

  const finishPending = (): void => {
    if (skipping) sink.fault('line_too_long', ++number);
    else oneLine(pending.subarray(0, pendingBytes));
    skipping = false;
    pendingBytes = 0;
  };

  /** Whole lines, without the last line feed. */
  const manyLines = (bytes: Buffer): void => {
    if (bytes.length > maxLineBytes || !isUtf8(bytes)) {
      for (let from = 0; from <= bytes.length; ) {
        const feed = bytes.indexOf(lineFeed, from);
        const to = feed === -1 ? bytes.length : feed;
        oneLine(bytes.subarray(from, to));
        from = to + 1;
      }
      return;
    }
    const text = bytes.toString('utf8');
    let from = 0;
    for (let feed = text.indexOf('\n'); feed !== -1; feed = text.indexOf('\n', from)) {
      sink.line(text.slice(from, feed), ++number);
      from = feed + 1;
    }
    sink.line(text.slice(from), ++number);
  };

  return {
    push(chunk) {
      const first = chunk.indexOf(lineFeed);
      if (first === -1) return keep(chunk);
      keep(chunk.subarray(0, first));
      finishPending();
      const last = chunk.lastIndexOf(lineFeed);
      if (last > first) manyLines(chunk.subarray(first + 1, last));
      keep(chunk.subarray(last + 1));
    },
    end() {
      if (pendingBytes > 0 || skipping) finishPending();
    },
  };
}
