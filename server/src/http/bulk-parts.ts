import type { z } from 'zod';
import type { FieldError } from '../core/errors.ts';
import { fieldErrorsOf } from '../core/validation.ts';
import { orderWithHistory } from '../domains/orders/order-submission.ts';
import type { OrderToWrite } from '../domains/orders/order-write-service.ts';
import type { Caller } from './authenticate.ts';
import { placeOf } from './json-body.ts';
import { createLineSplitter, type LineFault } from './ndjson.ts';

/** Why one row was not stored, in terms a client can act upon. */
export interface Rejection {
  /** The order that has this row's key already. */
  readonly order_id?: string;
  readonly code: string;
  readonly detail: string;
  readonly errors?: readonly FieldError[];
}

/** One row of a bulk request: an order to write, or why it is none. */
export type BulkRow =
  | { readonly line: number; readonly order: OrderToWrite; readonly rejection: null }
  | { readonly line: number; readonly order: null; readonly rejection: Rejection };

/** Rows that are written in one transaction. */
export type BulkPart = readonly BulkRow[];

export interface RowContext {
  readonly caller: Caller;
  /** The Idempotency-Key of the request: rows without a number get `<key>/<line>`. */
  readonly requestKey: string | null;
}

// A part is one transaction. Measured over 100,000 orders: parts of 20,000 lines 9,600-12,000 orders/s and 290-520 MB at the
// peak, of 2,000 16,500 and 290, of 1,000 13,700 and 250: what dies young is cheap to collect.
export const partLines = 2_000;
const maxLineBytes = 1024 * 1024;
// 2,000 lines of a megabyte each would not fit in memory, so a part of very long lines ends early.
const maxPartBytes = 16 * 1024 * 1024;

const faultDetails = {
  line_too_long: 'The line is longer than 1 MiB.',
  invalid_utf8: 'The line is not UTF-8.',
} as const satisfies Record<LineFault, string>;

/** Reads NDJSON into parts of exactly 2,000 lines (or 16 MiB where lines are very long), blank lines counted. */
export async function* partsOfLines(source: AsyncIterable<Buffer>, context: RowContext): AsyncGenerator<BulkPart> {
  const full: BulkRow[][] = [];
  let part: BulkRow[] = [];
  let lines = 0;
  let size = 0;
  const count = (length: number): void => {
    size += length;
    if (++lines < partLines && size < maxPartBytes) return;
    if (part.length > 0) full.push(part);
    part = [];
    lines = 0;
    size = 0;
  };
  const splitter = createLineSplitter(
    {
      line(text, number) {
        const row = rowOfLine(number === 1 && text.startsWith('\uFEFF') ? text.slice(1) : text, number, context);
        if (row !== null) part.push(row);
        count(text.length);
      },
      fault(code, line) {
        part.push({ line, order: null, rejection: { code, detail: faultDetails[code] } });
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
export const partOfArray = (documents: readonly unknown[], context: RowContext): BulkPart =>
  documents.map((document, index) => rowOf(document, index + 1, context));

function rowOfLine(text: string, line: number, context: RowContext): BulkRow | null {
  let document: unknown;
  try {
    document = JSON.parse(text);
  } catch (error) {
    if (text.trim() === '') return null;
    return {
      line,
      order: null,
      rejection: { code: 'malformed_json', detail: `The line is not valid JSON${placeOf(error)}.` },
    };
  }
  return rowOf(document, line, context);
}

function rowOf(document: unknown, line: number, { caller, requestKey }: RowContext): BulkRow {
  const parsed = orderWithHistory.safeParse(document);
  if (!parsed.success) return { line, order: null, rejection: rejectionOf(parsed.error) };
  const order = parsed.data;
  if (order.statuses !== null && !caller.mayImport) {
    return {
      line,
      order: null,
      rejection: { code: 'forbidden', detail: 'A row with `statuses` needs the scope orders:import.' },
    };
  }
  return {
    line,
    order: {
      order,
      requestKey: requestKey === null ? null : `${requestKey}/${line}`,
      actor: order.statuses === null ? caller.actor : caller.importActor,
    },
    rejection: null,
  };
}

function rejectionOf(error: z.ZodError): Rejection {
  const errors = fieldErrorsOf(error);
  const detail = errors.map((fault) => `${fault.pointer || '(document)'}: ${fault.detail}`).join('; ');
  return { code: 'invalid_input', detail: detail.length > 500 ? `${detail.slice(0, 499)}…` : detail, errors };
}
