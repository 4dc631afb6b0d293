import type { z } from 'zod';
import type { FieldError } from '../core/errors.ts';
import { fieldErrorsOf } from '../core/validation.ts';
import { placeOf } from './json-body.ts';
import { createLineSplitter, type LineFault } from './ndjson.ts';

/** Why one row was not stored, in terms a client can act upon. */
export interface Rejection {
  readonly code: string;
  readonly detail: string;
  readonly errors?: readonly FieldError[];
  /** What else the client may want to know: `order_id`, `current`, `allowed` … */
  readonly [fact: string]: unknown;
}

/** One row of a bulk request: something to write, or why it is nothing. */
export type BulkRow<Item> =
  | { readonly line: number; readonly item: Item; readonly rejection: null }
  | { readonly line: number; readonly item: null; readonly rejection: Rejection };

/** Rows that are written in one transaction. */
export type BulkPart<Item> = readonly BulkRow<Item>[];

/** Judges one document of a bulk request by itself. Lines, and elements of an array, are counted from 1. */
export type ReadRow<Item> = (document: unknown, line: number) => BulkRow<Item>;

// A part is one transaction. Measured over 100,000 orders: parts of 20,000 lines 9,600-12,000 orders/s and 290-520 MB at the
// peak, of 2,000 16,500 and 290, of 1,000 13,700 and 250: what dies young is cheap to collect.
export const partLines = 2_000;
const maxLineBytes = 1024 * 1024;
// 2,000 lines of a megabyte each would not fit in memory, so a part of very long lines ends early.
export const maxPartBytes = 16 * 1024 * 1024;

const faultDetails = {
  line_too_long: 'The line is longer than 1 MiB.',
  invalid_utf8: 'The line is not UTF-8.',
} as const satisfies Record<LineFault, string>;

/** Reads NDJSON into parts of exactly so many lines (or 16 MiB where lines are very long), blank lines counted. */
export async function* partsOfLines<Item>(
  source: AsyncIterable<Buffer>,
  read: ReadRow<Item>,
  limit = partLines,
): AsyncGenerator<BulkPart<Item>> {
  const full: BulkRow<Item>[][] = [];
  let part: BulkRow<Item>[] = [];
  let lines = 0;
  let size = 0;
  const count = (length: number): void => {
    size += length;
    if (++lines < limit && size < maxPartBytes) return;
    if (part.length > 0) full.push(part);
    part = [];
    lines = 0;
    size = 0;
  };
  const splitter = createLineSplitter(
    {
      line(text, number) {
        const row = rowOfLine(number === 1 && text.startsWith('\uFEFF') ? text.slice(1) : text, number, read);
        if (row !== null) part.push(row);
        count(text.length);
      },
      fault(code, line) {
        part.push(rejectedRow(line, { code, detail: faultDetails[code] }));
        count(0);
      },
    },
    maxLineBytes,
  );
  for await (const chunk of source) {
    splitter.push(chunk);
    if (full.length > 0) yield* full.splice(0);
  }
  splitter.end();
  yield* full;
  if (part.length > 0) yield part;
}

/** The rows of a JSON array, counted from 1. */
export const partOfArray = <Item>(documents: readonly unknown[], read: ReadRow<Item>): BulkPart<Item> =>
  documents.map((document, index) => read(document, index + 1));

function rowOfLine<Item>(text: string, line: number, read: ReadRow<Item>): BulkRow<Item> | null {
  let document: unknown;
  try {
    document = JSON.parse(text);
  } catch (error) {
    if (text.trim() === '') return null;
    return rejectedRow(line, { code: 'malformed_json', detail: `The line is not valid JSON${placeOf(error)}.` });
  }
  return read(document, line);
}

export const rejectedRow = (line: number, rejection: Rejection) => ({ line, item: null, rejection }) as const;

/** A document that its schema refuses. */
export function rejectionOf(error: z.ZodError): Rejection {
  const errors = fieldErrorsOf(error);
  const detail = errors.map((fault) => `${fault.pointer || '(document)'}: ${fault.detail}`).join('; ');
  return { code: 'invalid_input', detail: detail.length > 500 ? `${detail.slice(0, 499)}…` : detail, errors };
}
