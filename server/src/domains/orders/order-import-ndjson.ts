import { ndjsonLine } from '../../core/import-line.ts';
import { isDamagedText, type TextLine } from '../../core/text-lines.ts';
import { fieldErrorsOf } from '../../core/validation.ts';
import type { ReadOrder } from './order-import-part.ts';
import { orderWithHistory } from './order-submission.ts';

/** A line with an order of 1,000 items with long names fits. */
export const maxLineChars = 4 * 1024 * 1024;

/**
 * Reads a line of NDJSON, one order a line as the API's bulk call takes them. `error` and `line`, which a file of rejected lines
 * has, are passed over.
 */
export function readOrder(line: TextLine): ReadOrder {
  if (line.tooLong) return rejected(line, 'row_too_long', `has more than ${maxLineChars} characters`);
  if (isDamagedText(line.text))
    return rejected(line, 'not_utf8', 'holds bytes that are no UTF-8, or U+FFFD in their place');
  const document = parseDocument(line.text);
  if (document === null) return rejected(line, 'malformed_row', 'is not a JSON object');
  const result = orderWithHistory.safeParse(document);
  if (!result.success) {
    const faults = fieldErrorsOf(result.error);
    return rejected(
      line,
      'invalid_order',
      faults.map(({ pointer, detail }) => `${pointer || 'the order'} ${detail}`).join('; '),
    );
  }
  // What the client calls its order makes sending the file again harmless.
  if (result.data.orderNumber === null)
    return rejected(line, 'order_number_missing', 'order_number (or order_id) is missing');
  return { order: result.data, lines: [ndjsonLine(line)], rejected: [], isOrderRejected: false };
}

const rejected = (line: TextLine, code: string, detail: string): ReadOrder => ({
  order: null,
  lines: [],
  rejected: [{ ...ndjsonLine(line), code, detail }],
  isOrderRejected: true,
});

function parseDocument(text: string): object | null {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return null;
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return null;
  const { error: _error, line: _line, ...document } = value as Record<string, unknown>;
  return document;
}
