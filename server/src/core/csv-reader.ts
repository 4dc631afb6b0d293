import { isDamagedText } from './text-lines.ts';

export type CsvFault = 'malformed_row' | 'row_too_long' | 'not_utf8';

/** One row of a CSV file. */
export interface CsvRow {
  /** The line of the file on which the row begins, counted from 1. */
  readonly line: number;
  /** With a fault: as much of the row as can be told. */
  readonly cells: readonly string[];
  readonly fault: { readonly code: CsvFault; readonly detail: string } | null;
}

/** A row of more characters is refused; it bounds the memory and how far a quote may reach. */
export const maxCsvRowChars = 64 * 1024;

export interface CsvReader {
  /** Takes the next piece of text; returns the rows that it completed. */
  push(text: string): CsvRow[];
  /** The text has ended; returns what remains. */
  end(): CsvRow[];
}

/**
 * Reads CSV as RFC 4180 has it (commas, doubled quotes, line breaks within quotes; LF or CRLF), piece by piece. Blank lines are
 * no rows. The first row gives the number of cells. A quote that is opened and never properly closed, or stands within an
 * unquoted cell, costs the line it stands on and nothing else: reading goes on with the next line.
 */
export function createCsvReader(): CsvReader {
  let buffer = '';
  let line = 1;
  let width: number | null = null;
  let skipping = false;

  const take = (found: Found, rows: CsvRow[]): void => {
    const row = checked(found, line, width);
    if (row !== null) {
      rows.push(row);
      width ??= row.cells.length;
    }
    line += found.lines;
  };

  const read = (final: boolean): CsvRow[] => {
    const rows: CsvRow[] = [];
    let at = 0;
    if (skipping) {
      const next = buffer.indexOf('\n');
      at = next < 0 ? buffer.length : next + 1;
      if (next >= 0) {
        skipping = false;
        line++;
      }
    }
    while (at < buffer.length) {
      const found = findRow(buffer, at, { final, width });
      if (found === null) break;
      take(found, rows);
      at = found.end;
    }
    buffer = buffer.slice(at);
    if (buffer.length > maxCsvRowChars) {
      rows.push({ line, cells: lenientCells(buffer.slice(0, 1_000)), fault: tooLong });
      buffer = '';
      skipping = true;
    }
    return rows;
  };

  return {
    push(text) {
      buffer += text;
      return read(false);
    },
    end: () => read(true),
  };
}

/** The rows of a text that comes piece by piece, in groups: those that one piece completed. */
export async function* csvRows(texts: AsyncIterable<string>): AsyncGenerator<CsvRow[]> {
  const reader = createCsvReader();
  for await (const text of texts) yield reader.push(text);
  yield reader.end();
}

interface Found {
  readonly cells: readonly string[];
  readonly fault: CsvRow['fault'];
  /** Where the next row begins. */
  readonly end: number;
  /** Lines of the file that the row takes. */
  readonly lines: number;
}

const tooLong = { code: 'row_too_long', detail: `has more than ${maxCsvRowChars} characters` } as const;
const notUtf8 = {
  code: 'not_utf8',
  detail: 'holds bytes that are no UTF-8: convert the file, e.g. with iconv -f latin1 -t utf-8',
} as const;
const malformed = (detail: string) => ({ code: 'malformed_row', detail }) as const;

/** The row that begins at `at`, or null while its end has not been read yet. */
function findRow(text: string, at: number, { final, width }: { final: boolean; width: number | null }): Found | null {
  const newline = text.indexOf('\n', at);
  if (newline < 0 && !final) return null;
  const lineEnd = newline < 0 ? text.length : newline;
  const end = newline < 0 ? text.length : newline + 1;
  const first = withoutReturn(text.slice(at, lineEnd));
  const whole = (cells: readonly string[], fault: CsvRow['fault']): Found => ({ cells, fault, end, lines: 1 });
  if (first.length > maxCsvRowChars) return whole(lenientCells(first.slice(0, 1_000)), tooLong);
  if (!first.includes('"')) return whole(first.split(','), null);

  const quoted = readQuoted(text, at, final);
  if (quoted === 'unfinished') {
    if (!final && text.length - at <= maxCsvRowChars) return null;
    return whole(lenientCells(first), malformed('has a quote that is never closed'));
  }
  if (quoted === 'stray') return whole(lenientCells(first), malformed('has a stray quote'));
  if (quoted.lines === 1 || width === null) return quoted;
  const swallowsRows = quoted.cells.length !== width || looksLikeRows(text.slice(at, quoted.end), width);
  return swallowsRows ? whole(lenientCells(first), malformed('has a quote that is never closed on its line')) : quoted;
}

// With fewer columns a sentence with commas looks like a row too easily.
const widthThatTells = 5;

/** Whether a row of several lines rather is several rows between two stray quotes: its first line and another have the width of a row. */
function looksLikeRows(text: string, width: number): boolean {
  if (width < widthThatTells) return false;
  const [first, ...others] = text.trimEnd().split('\n');
  const isRow = (line: string | undefined) => line !== undefined && lenientCells(line).length === width;
  return isRow(first) && others.some(isRow);
}

/** Reads a row with quotes; `unfinished` when the text ends within it, `stray` when a quote stands where none may. */
function readQuoted(text: string, start: number, final: boolean): Found | 'unfinished' | 'stray' {
  const cells: string[] = [];
  let lines = 1;
  for (let at = start; ; ) {
    const cell = text[at] === '"' ? quotedCell(text, at) : plainCell(text, at);
    if (typeof cell === 'string') return cell;
    cells.push(cell.value);
    lines += breaksIn(cell.value);
    at = cell.end;
    if (text[at] === ',') at++;
    else if (at >= text.length) return final ? { cells, fault: null, end: at, lines } : 'unfinished';
    else if (text[at] === '\n') return { cells, fault: null, end: at + 1, lines };
    else if (text[at] === '\r' && text[at + 1] === '\n') return { cells, fault: null, end: at + 2, lines };
    else if (text[at] === '\r' && at + 1 >= text.length)
      return final ? { cells, fault: null, end: at + 1, lines } : 'unfinished';
    else return 'stray';
  }
}

function quotedCell(text: string, start: number): { value: string; end: number } | 'unfinished' {
  let value = '';
  for (let from = start + 1; ; ) {
    const quote = text.indexOf('"', from);
    if (quote < 0 || quote - start > maxCsvRowChars) return 'unfinished';
    value += text.slice(from, quote);
    if (text[quote + 1] !== '"') return { value, end: quote + 1 };
    value += '"';
    from = quote + 2;
  }
}

function plainCell(text: string, start: number): { value: string; end: number } | 'stray' {
  let end = start;
  for (; end < text.length; end++) {
    const c = text.charCodeAt(end);
    if (c === 44 || c === 10) break;
    if (c === 34) return 'stray';
  }
  const isRowEnd = text[end] === '\n' || end >= text.length;
  return { value: isRowEnd ? withoutReturn(text.slice(start, end)) : text.slice(start, end), end };
}

function breaksIn(value: string): number {
  let count = 0;
  for (let at = value.indexOf('\n'); at >= 0; at = value.indexOf('\n', at + 1)) count++;
  return count;
}

const withoutReturn = (text: string): string => (text.endsWith('\r') ? text.slice(0, -1) : text);

/** What a broken line seems to hold: cut at its commas, quotes left as they are. */
const lenientCells = (line: string): string[] => line.split(',');

/** The row with its line, judged by width and encoding; null for a blank line. */
function checked({ cells, fault }: Found, line: number, width: number | null): CsvRow | null {
  if (fault !== null) return { line, cells, fault };
  if (cells.length === 1 && cells[0]?.trim() === '') return null;
  if (width !== null && cells.length !== width) {
    return { line, cells, fault: malformed(`has ${cells.length} cells where the first line has ${width}`) };
  }
  return { line, cells, fault: cells.some(isDamagedText) ? notUtf8 : null };
}
