import type { RejectedLine } from './import-line.ts';

// A file of rejected lines that was mended in part and failed again gets these columns once, not twice.
const isOwn = (column: string): boolean => ['error', 'line'].includes(column.trim().toLowerCase());

/** What a file of rejected lines begins with, by its first line. */
export function rejectedHeading({ source }: RejectedLine): string {
  return source.kind === 'ndjson' ? '' : csvText([...source.header.filter((name) => !isOwn(name)), 'error', 'line']);
}

/** The line as it was, with what is wrong about it: mended, it can be imported as it stands. */
export function rejectedText({ line, source, code, detail }: RejectedLine): string {
  const error = `${code}: ${detail}`;
  if (source.kind === 'ndjson') return `${ndjsonText(source.text, { error, line })}\n`;
  const { header, cells } = source;
  // A broken line may have more cells than columns: nothing of it is lost.
  const whole =
    cells.length > header.length
      ? [...cells.slice(0, header.length - 1), cells.slice(header.length - 1).join(',')]
      : cells;
  const kept = header.flatMap((name, i) => (isOwn(name) ? [] : [whole[i] ?? '']));
  return csvText([...kept, error, String(line)]);
}

function ndjsonText(text: string, facts: { error: string; line: number }): string {
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
const csvText = (cells: readonly string[]): string =>
  `${cells.map((cell) => (/[",\r\n]/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell)).join(',')}\r\n`;
