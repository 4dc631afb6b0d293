import { isUtf8 } from 'node:buffer';
import { dayMs } from '../../core/time.ts';
import { maxAheadMs, maxRejectionsKept, type RecordRejection, type UsageRecord } from './usage.ts';
import { cellsOf, readCsvLine, type UsageColumn } from './usage-csv-line.ts';
import { emptyFields, readPrice } from './usage-fields.ts';
import { readJsonLine } from './usage-json-line.ts';
import { type IntakeRules, type Judged, judgeDocument, refusal } from './usage-record.ts';
import type { UsageRows } from './usage-rows.ts';

/** Reads the lines of one part into rows, and counts what is refused. */
export interface LineReader {
  /**
   * Reads whole lines, `limit` at most. `end` is behind a line feed or the end of the bytes.
   * @returns where it stopped
   */
  read(bytes: Buffer, place: { readonly from: number; readonly end: number }, limit: number): number;
  /** A line that is not there to be read: it was too long. */
  refuse(judged: Judged): void;
  /** Lines so far, blank ones included. */
  lines(): number;
  rejectedRows(): number;
  rejected(): readonly RecordRejection[];
}

export interface LineReaderOptions {
  /** null = NDJSON */
  readonly columns: readonly UsageColumn[] | null;
  readonly rules: IntakeRules;
  readonly typeNames: readonly Uint8Array[];
  readonly rows: UsageRows;
  /** The number of its first line in the upload. */
  readonly firstLine: number;
}

export const maxLineBytes = 64 * 1024;
export const tooLong = refusal('line_too_long', 'The line is longer than 64 KiB.');

const [lineFeed, carriageReturn, space, tab] = [10, 13, 32, 9] as const;

/** Almost every line takes the fast way over bytes; what that does not take, or may not be stored, is judged with care. */
export function createLineReader({ columns, rules, typeNames, rows, firstLine }: LineReaderOptions): LineReader {
  const fields = emptyFields();
  const csv = columns === null ? null : { columns, types: typeNames };
  const earliestMs = rules.rawFrom * dayMs;
  const latestMs = rules.now + maxAheadMs;
  const rejected: RecordRejection[] = [];
  let rejectedRows = 0;
  let lines = 0;
  const append = createCarefulAppend(rows, rules);

  const refuse = (judged: Judged): void => {
    if (judged.refusal === null) return;
    rejectedRows++;
    if (rejected.length < maxRejectionsKept) rejected.push({ line: firstLine + lines, ...judged.refusal });
  };
  const carefully = (bytes: Buffer, from: number, end: number): number => {
    const feed = bytes.indexOf(lineFeed, from);
    const next = feed < 0 || feed >= end ? end : feed + 1;
    const judged = judgeLine(bytes.subarray(from, next), { columns, rules });
    if (judged?.record != null) append(judged.record, firstLine + lines);
    else if (judged !== null) refuse(judged);
    return next;
  };

  return {
    read(bytes, { from, end }, limit) {
      const isText = isUtf8(bytes.subarray(from, end));
      fields.source = bytes;
      let at = from;
      for (let left = limit; left > 0 && at < end; left--) {
        const last = !isText ? -1 : csv === null ? readJsonLine(fields, at, typeNames) : readCsvLine(fields, at, csv);
        const next = last < 0 ? -1 : lineEndAfter(bytes, last, end);
        if (next >= 0 && next - at <= maxLineBytes && fields.usedAtMs >= earliestMs && fields.usedAtMs <= latestMs) {
          rows.append(fields, firstLine + lines);
          at = next;
        } else at = carefully(bytes, at, end);
        lines++;
      }
      return at;
    },
    refuse(judged) {
      refuse(judged);
      lines++;
    },
    lines: () => lines,
    rejectedRows: () => rejectedRows,
    rejected: () => rejected,
  };
}

/** Where the next line begins when nothing but blanks is left of this one; -1 else. */
function lineEndAfter(bytes: Uint8Array, from: number, end: number): number {
  let at = from;
  while (at < end && (bytes[at] === space || bytes[at] === tab || bytes[at] === carriageReturn)) at++;
  if (at >= end) return end;
  return bytes[at] === lineFeed ? at + 1 : -1;
}

/** @returns null for a blank line */
function judgeLine(
  line: Buffer,
  { columns, rules }: { readonly columns: readonly UsageColumn[] | null; readonly rules: IntakeRules },
): Judged | null {
  if (line.length - (line.at(-1) === lineFeed ? 1 : 0) > maxLineBytes) return tooLong;
  if (!isUtf8(line)) return refusal('invalid_utf8', 'The line is not UTF-8.');
  const text = line.toString('utf8');
  if (text.trim() === '') return null;
  if (columns === null) {
    try {
      return judgeDocument(JSON.parse(text.trim()), rules);
    } catch {
      return refusal('malformed_json', 'The line is not valid JSON.');
    }
  }
  // Blanks belong to the cells, as the fast way has it: a record must have one id, quoted or not.
  const cells = cellsOf(text.replace(/\r?\n?$/, ''));
  if (cells === null) return refusal('malformed_row', 'The line has a quote that does not belong there.');
  if (cells.length !== columns.length) {
    return refusal('malformed_row', `The line has ${cells.length} cells, the header ${columns.length}.`);
  }
  return judgeDocument(Object.fromEntries(columns.map((column, i) => [column, cells[i]])), rules);
}

/** Appends a record that is text and numbers already. */
function createCarefulAppend(rows: UsageRows, { types }: IntakeRules): (record: UsageRecord, line: number) => void {
  const fields = emptyFields();
  return (record, line) => {
    const subscription = Buffer.from(record.subscriptionId);
    const recordId = Buffer.from(record.recordId);
    fields.source = Buffer.concat([subscription, recordId, Buffer.from(record.price)]);
    fields.subscriptionAt = 0;
    fields.subscriptionEnd = subscription.length;
    fields.recordAt = subscription.length;
    fields.recordEnd = subscription.length + recordId.length;
    fields.type = types.indexOf(record.usageType);
    fields.usedAtMs = record.usedAt;
    fields.usedHigh = Number(record.used >> 32n);
    fields.usedLow = Number(record.used & 0xffff_ffffn);
    if (!readPrice(fields, fields.recordEnd, fields.source.length)) throw new RangeError(`No price: ${record.price}`);
    rows.append(fields, line);
  };
}
