import { hash } from 'node:crypto';
import { type BoundColumns, bindColumns, ImportFileError } from '../../core/csv-columns.ts';
import { type CsvRow, csvRows } from '../../core/csv-reader.ts';
import type { LineSource, RejectedLine, SourceLine } from '../../core/import-line.ts';
import { interruptible } from '../../core/interruptible.ts';
import { isDamagedText, type TextLine, textLines, utf8Text } from '../../core/text-lines.ts';
import { fieldErrorsOf } from '../../core/validation.ts';
import type { ReportOutcome, StatusReport } from './order-status-report-service.ts';
import { type ReferencedStatus, referencedStatus } from './order-status-submission.ts';

const columns = {
  order_id: { names: ['order_id'], required: false },
  customer_id: { names: ['customer_id'], required: false },
  order_number: { names: ['order_number'], required: false },
  status: { names: ['status'], required: true },
  occurred_at: { names: ['occurred_at', 'status_at'], required: false },
  reason: { names: ['reason'], required: false },
  event_key: { names: ['event_key'], required: false },
} as const;

export interface StatusImportSummary {
  rows: number;
  recorded: number;
  late: number;
  unchanged: number;
  replayed: number;
  rejected: number;
}

export interface StatusImportRequest {
  /** The bytes of the file, decompressed. */
  readonly chunks: AsyncIterable<Uint8Array>;
  readonly format: 'csv' | 'ndjson';
  /** Aborting ends the import between two transactions; running it again goes on from there. */
  readonly signal: AbortSignal;
  readonly record: (reports: readonly StatusReport[]) => Promise<readonly ReportOutcome[]>;
  readonly onProgress: (rows: number) => void;
  readonly onRejected: (rejected: RejectedLine) => Promise<void> | void;
}

const partRows = 2_000;
const maxLineChars = 64 * 1024;
const actor = 'import';

/** A line that was read: a report, or why it is none. */
type ReadLine = SourceLine & ({ readonly report: StatusReport } | { readonly report: null; readonly fault: Fault });
interface Fault {
  readonly code: string;
  readonly detail: string;
}

/**
 * Records the statuses of a file in its order, 2,000 lines a transaction, by the rules of the API. A line without an event_key
 * gets one made of its content, so that a file that is sent again changes nothing.
 * @throws ImportFileError when the file as a whole cannot be used; nothing was written then
 */
export async function importStatuses(request: StatusImportRequest): Promise<StatusImportSummary> {
  const summary = { rows: 0, recorded: 0, late: 0, unchanged: 0, replayed: 0, rejected: 0 };
  const texts = utf8Text(interruptible(request.chunks, request.signal));
  let part: ReadLine[] = [];
  for await (const lines of request.format === 'csv' ? csvLines(texts) : ndjsonLines(texts)) {
    part.push(...lines);
    for (; part.length >= partRows; part = part.slice(partRows))
      await settle(part.slice(0, partRows), request, summary);
  }
  await settle(part, request, summary);
  return summary;
}

async function settle(
  lines: readonly ReadLine[],
  { record, signal, onProgress, onRejected }: StatusImportRequest,
  summary: StatusImportSummary,
): Promise<void> {
  signal.throwIfAborted();
  const reports = lines.flatMap(({ report }) => (report === null ? [] : [report]));
  const outcomes = reports.length === 0 ? [] : await record(reports);
  let next = 0;
  for (const line of lines) {
    summary.rows++;
    const fault = line.report === null ? line.fault : faultOf(outcomes[next], summary);
    if (line.report !== null) next++;
    if (fault === null) continue;
    summary.rejected++;
    await onRejected({ line: line.line, source: line.source, ...fault });
  }
  onProgress(summary.rows);
}

function faultOf(outcome: ReportOutcome | undefined, summary: StatusImportSummary): Fault | null {
  if (outcome === undefined) throw new RangeError('Every report has an outcome.');
  if (outcome.kind === 'refused') return { code: outcome.error.code, detail: outcome.error.message };
  summary[outcome.kind]++;
  return null;
}

async function* csvLines(texts: AsyncIterable<string>): AsyncGenerator<ReadLine[]> {
  let header: { readonly names: readonly string[]; readonly bound: BoundColumns<keyof typeof columns> } | null = null;
  for await (const rows of csvRows(texts)) {
    const lines: ReadLine[] = [];
    for (const row of rows) {
      if (header !== null) lines.push(ofRow(row, header.names, header.bound));
      else header = { names: row.cells, bound: bindHeader(row) };
    }
    yield lines;
  }
  if (header === null)
    throw new ImportFileError('This file is empty: it has not even a first line with the names of the columns.');
}

function bindHeader(row: CsvRow): BoundColumns<keyof typeof columns> {
  if (row.fault !== null)
    throw new ImportFileError(`This file cannot be imported: its first line ${row.fault.detail}.`);
  const bound = bindColumns(row.cells, columns);
  const { order_id, customer_id, order_number } = bound.mapping;
  if (order_id === null && (customer_id === null || order_number === null)) {
    throw new ImportFileError(
      'This file cannot be imported: it names no orders. Give a column order_id, or customer_id and order_number.',
    );
  }
  return bound;
}

function ofRow(row: CsvRow, header: readonly string[], bound: BoundColumns<keyof typeof columns>): ReadLine {
  const source: LineSource = { kind: 'csv', header, cells: row.cells };
  if (row.fault !== null) return { line: row.line, source, report: null, fault: row.fault };
  const cells = Object.keys(columns).map((name) => [name, bound.cell(row.cells, name as keyof typeof columns)]);
  return ofDocument({ line: row.line, source }, Object.fromEntries(cells.filter(([, cell]) => cell !== '')));
}

async function* ndjsonLines(texts: AsyncIterable<string>): AsyncGenerator<ReadLine[]> {
  for await (const lines of textLines(texts, maxLineChars))
    yield lines.filter(({ text }) => text.trim() !== '').map(ofLine);
}

function ofLine({ line, text, tooLong }: TextLine): ReadLine {
  const place: SourceLine = { line, source: { kind: 'ndjson', text } };
  const fault = (code: string, detail: string): ReadLine => ({ ...place, report: null, fault: { code, detail } });
  if (tooLong) return fault('row_too_long', `has more than ${maxLineChars} characters`);
  if (isDamagedText(text)) return fault('not_utf8', 'holds bytes that are no UTF-8, or U+FFFD in their place');
  try {
    const document: unknown = JSON.parse(text);
    if (typeof document === 'object' && document !== null && !Array.isArray(document)) {
      // A file of rejected lines has these two: mended, it can be sent as it stands.
      const { error: _error, line: _line, ...rest } = document as Record<string, unknown>;
      return ofDocument(place, rest);
    }
  } catch {}
  return fault('malformed_row', 'is not a JSON object');
}

function ofDocument(place: SourceLine, document: object): ReadLine {
  const parsed = referencedStatus.safeParse(document);
  if (parsed.success) return { ...place, report: withKey(parsed.data) };
  const detail = fieldErrorsOf(parsed.error)
    .map((fault) => `${fault.pointer || 'the row'} ${fault.detail}`)
    .join('; ');
  return { ...place, report: null, fault: { code: 'invalid_status', detail } };
}

function withKey({ reference, event }: ReferencedStatus): StatusReport {
  const content = JSON.stringify([reference, event.status, event.occurredAt, event.reason]);
  const eventKey = event.eventKey ?? `file:${hash('sha256', content, 'hex').slice(0, 32)}`;
  return { reference, event: { ...event, eventKey }, actor };
}
