import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import type { RejectedLine } from '../domains/orders/order-import-part.ts';
import type { Output } from './output.ts';
import { UsageError } from './stopped.ts';

/** Where rejected lines go: the first ones to the person, all of them to the file of --errors and to --json. */
export interface RejectedFile {
  add(line: RejectedLine): Promise<void>;
  /** Ends the file when there is one. */
  close(): Promise<void>;
}

const shownLines = 10;

/**
 * @param path of the file, null for none; it is made at once, so that a folder that cannot be written to is known before
 * @throws UsageError when the file cannot be written
 */
export async function openRejectedFile(output: Output, path: string | null): Promise<RejectedFile> {
  const file = path === null ? null : await openForWriting(path);
  let shown = 0;
  let begun = false;
  return {
    async add(line) {
      const error = `${line.code}: ${line.detail}`;
      if (output.json) await output.record({ line: line.line, error: line.code, detail: line.detail });
      else if (shown++ < shownLines) output.warn(`line ${line.line}: ${error}`);
      else if (shown === shownLines + 1) output.warn('… and more');
      if (file === null) return;
      const text = `${begun ? '' : beginningOf(line)}${lineAgain(line, error)}`;
      begun = true;
      if (!file.write(text)) await once(file, 'drain');
    },
    async close() {
      if (file === null) return;
      file.end();
      await once(file, 'close');
    },
  };
}

async function openForWriting(path: string) {
  const file = createWriteStream(path);
  try {
    await once(file, 'open');
    return file;
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : error;
    throw new UsageError(`--errors: ${path} cannot be written (${code}).`);
  }
}

// A file of rejected lines that was mended in part and failed again gets these columns once, not twice.
const isOwn = (column: string): boolean => ['error', 'line'].includes(column.trim().toLowerCase());

function beginningOf({ source }: RejectedLine): string {
  return source.kind === 'ndjson' ? '' : csvLine([...source.header.filter((name) => !isOwn(name)), 'error', 'line']);
}

/** The line as it was, with what is wrong about it: mended, it can be imported as it stands. */
function lineAgain({ line, source }: RejectedLine, error: string): string {
  if (source.kind === 'ndjson') return `${ndjsonLine(source.text, { error, line })}\n`;
  const { header, cells } = source;
  // A broken line may have more cells than columns: nothing of it is lost.
  const whole =
    cells.length > header.length
      ? [...cells.slice(0, header.length - 1), cells.slice(header.length - 1).join(',')]
      : cells;
  const kept = header.flatMap((name, i) => (isOwn(name) ? [] : [whole[i] ?? '']));
  return csvLine([...kept, error, String(line)]);
}

function ndjsonLine(text: string, facts: { error: string; line: number }): string {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null && !Array.isArray(value))
      return JSON.stringify({ ...value, ...facts });
  } catch {
    // Not JSON: the text itself is kept.
  }
  return JSON.stringify({ ...facts, text });
}

// The file is read by the import again, so nothing is changed for the sake of spreadsheets.
const csvLine = (cells: readonly string[]): string =>
  `${cells.map((cell) => (/[",\r\n]/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell)).join(',')}\r\n`;
