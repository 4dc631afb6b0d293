import { createHash, type Hash } from 'node:crypto';
import type { Day } from '../../core/days.ts';
import { InvalidInputError } from '../../core/errors.ts';
import type { BucketCache } from './bucket-cache.ts';
import { type BatchId, maxRejectionsKept, type RecordRejection } from './usage.ts';
import { cellsOf, type UsageColumn, usageColumns } from './usage-csv-line.ts';
import { createLineReader, type LineReader, maxLineBytes, tooLong } from './usage-line-reader.ts';
import { type IntakeRules, tooOld } from './usage-record.ts';
import { createRowMemory, createUsageRows, type RowMemory, type UsageRows } from './usage-rows.ts';

export type UsageFormat = 'ndjson' | 'csv';

/** Some lines of an upload, read and encoded: what is written in one transaction. */
export interface UsagePart {
  readonly batchId: BatchId;
  /** Counted from 1: the same bytes have the same parts, however they arrive. */
  readonly part: number;
  readonly firstLine: number;
  readonly lines: number;
  /** SHA-256 over the bytes of its lines. */
  readonly contentHash: Buffer;
  /** Rows to be stored. */
  readonly rows: number;
  readonly days: readonly [Day, Day] | null;
  readonly rejectedRows: number;
  readonly rejected: readonly RecordRejection[];
  /** For COPY, see UsageRows. */
  bytes(): Buffer[];
  /** The same part without the days before `day`: the horizon was moved meanwhile. */
  from(day: Day): UsagePart;
  /** The same part as another batch; this one is of no use any more. */
  numbered(batchId: BatchId): UsagePart;
  /** It is written: its memory may be given to another part. */
  release(): void;
}

export interface UsageParts {
  /** Takes the next bytes; returns the parts that they completed. @throws InvalidInputError for a header without the columns */
  push(chunk: Buffer): UsagePart[];
  end(): UsagePart[];
}

export interface UsagePartsOptions {
  readonly format: UsageFormat;
  readonly newBatchId: () => BatchId;
  /** Asked at the beginning of each part. */
  readonly rules: () => IntakeRules;
  readonly buckets: BucketCache;
  readonly partLines?: number;
  /** Memory that uploads of one after the other share; left out = this one has its own. */
  readonly memories?: RowMemory[];
}

// Design, section 4. Fewer would commit more often, more would hold more memory; it must stay: parts of an upload are known by it.
const usagePartLines = 20_000;
// Parts of very long lines end early: memory is bounded.
const maxPartBytes = 16 * 1024 * 1024;
const lineFeed = 10;
const byteOrderMark = Buffer.from([0xef, 0xbb, 0xbf]);

interface OpenPart {
  readonly batchId: BatchId;
  readonly firstLine: number;
  readonly columns: readonly UsageColumn[] | null;
  readonly rows: UsageRows;
  readonly reader: LineReader;
  readonly hash: Hash;
  readonly memory: RowMemory;
  /** Lines before the rows: the header. */
  headerLines: number;
  bytes: number;
}

interface Upload {
  readonly options: UsagePartsOptions;
  readonly partLines: number;
  /** The beginning of a line, and how long it is. */
  readonly carry: Buffer;
  carried: number;
  /** Memory of parts that are written. */
  readonly memories: RowMemory[];
  /** The present line is too long: it is counted and not kept. */
  skipping: boolean;
  started: boolean;
  columns: readonly UsageColumn[] | null;
  /** The header, until it belongs to a part. */
  header: Buffer | null;
  /** The line that comes next, and the part. */
  line: number;
  part: number;
  open: OpenPart | null;
  readonly full: UsagePart[];
}

export function createUsageParts(options: UsagePartsOptions): UsageParts {
  const upload: Upload = {
    options,
    partLines: options.partLines ?? usagePartLines,
    carry: Buffer.allocUnsafeSlow(maxLineBytes + 1),
    carried: 0,
    memories: options.memories ?? [],
    skipping: false,
    started: false,
    columns: null,
    header: null,
    line: 1,
    part: 1,
    open: null,
    full: [],
  };
  return {
    push(chunk) {
      pushBytes(upload, chunk);
      return upload.full.splice(0);
    },
    end() {
      if (upload.skipping) endSkipping(upload);
      else if (upload.carried > 0) readLines(upload, upload.carry.subarray(0, upload.carried));
      if (upload.header !== null) openOf(upload);
      if (upload.open !== null) close(upload, upload.open);
      return upload.full.splice(0);
    },
  };
}

/** Only the line that a chunk ends in is copied. */
function pushBytes(upload: Upload, chunk: Buffer): void {
  const begun = upload.skipping || upload.carried > 0;
  const from = begun ? endLine(upload, chunk) : 0;
  const end = chunk.lastIndexOf(lineFeed) + 1;
  if (end > from) readLines(upload, chunk.subarray(from, end));
  const rest = chunk.subarray(Math.max(from, end));
  if (rest.length > 0) carryOn(upload, rest);
}

/** Reads the line that was begun before, if it ends in this chunk. @returns where the next one begins */
function endLine(upload: Upload, chunk: Buffer): number {
  const end = chunk.indexOf(lineFeed) + 1;
  if (end === 0) return 0;
  carryOn(upload, chunk.subarray(0, end));
  if (upload.skipping) endSkipping(upload);
  else {
    const line = upload.carry.subarray(0, upload.carried);
    upload.carried = 0;
    readLines(upload, line);
  }
  return end;
}

function carryOn(upload: Upload, bytes: Buffer): void {
  const feed = bytes[bytes.length - 1] === lineFeed ? 1 : 0;
  if (!upload.skipping && upload.carried + bytes.length - feed <= maxLineBytes) {
    upload.carried += bytes.copy(upload.carry, upload.carried);
    return;
  }
  if (!upload.skipping) skip(upload, upload.carry.subarray(0, upload.carried));
  upload.skipping = true;
  upload.carried = 0;
  skip(upload, bytes);
}

/** Hashed like all others, so that the same bytes have the same hash however they are cut. */
function skip(upload: Upload, bytes: Buffer): void {
  const part = openOf(upload);
  part.hash.update(bytes);
  part.bytes += bytes.length;
}

function endSkipping(upload: Upload): void {
  const part = openOf(upload);
  part.reader.refuse(tooLong);
  upload.skipping = false;
  closeWhenFull(upload, part);
}

/** The bytes are whole lines. */
function readLines(upload: Upload, bytes: Buffer): void {
  const end = bytes.length;
  let from = !upload.started && bytes.subarray(0, 3).equals(byteOrderMark) ? 3 : 0;
  upload.started = true;
  if (upload.options.format === 'csv' && upload.columns === null && from < end) from = readHeader(upload, bytes, from);
  while (from < end) {
    const part = openOf(upload);
    const stop = lineEndAfter(bytes, from + maxPartBytes - part.bytes, end);
    const room = upload.partLines - part.headerLines - part.reader.lines();
    const next = part.reader.read(bytes, { from, end: stop }, room);
    part.hash.update(bytes.subarray(from, next));
    part.bytes += next - from;
    from = next;
    closeWhenFull(upload, part);
  }
}

/** @returns where the header ends */
function readHeader(upload: Upload, bytes: Buffer, from: number): number {
  const end = lineEndAfter(bytes, from + 1, bytes.length);
  // A copy: the bytes may be overwritten before the part is opened.
  upload.header = Buffer.from(bytes.subarray(from, end));
  upload.columns = columnsOf(upload.header.toString('utf8'));
  upload.line++;
  return end;
}

/** Behind the first line feed that ends so many bytes or more. */
function lineEndAfter(bytes: Buffer, at: number, end: number): number {
  if (at >= end) return end;
  const feed = bytes.indexOf(lineFeed, Math.max(0, at - 1));
  return feed < 0 ? end : feed + 1;
}

function openOf(upload: Upload): OpenPart {
  if (upload.open !== null) return upload.open;
  const { line: firstLine, columns, header, options } = upload;
  const memory = upload.memories.pop() ?? createRowMemory();
  const part = openPart(options, { batchId: options.newBatchId(), firstLine, columns, memory });
  if (header !== null) {
    part.hash.update(header);
    part.headerLines = 1;
    upload.header = null;
  }
  upload.open = part;
  return part;
}

function closeWhenFull(upload: Upload, part: OpenPart): void {
  const lines = part.reader.lines() + part.headerLines;
  if (lines >= upload.partLines || part.bytes >= maxPartBytes) close(upload, part);
}

function close(upload: Upload, part: OpenPart): void {
  upload.line += part.reader.lines();
  upload.full.push(closePart(upload, part));
  upload.open = null;
}

function openPart(
  { rules, buckets }: Pick<UsagePartsOptions, 'rules' | 'buckets'>,
  place: Pick<OpenPart, 'batchId' | 'firstLine' | 'columns' | 'memory'>,
): OpenPart {
  const judgedBy = rules();
  const typeNames = judgedBy.types.map((name) => Buffer.from(name));
  const rows = createUsageRows({ batchId: place.batchId, types: typeNames, buckets, memory: place.memory });
  const { columns, firstLine } = place;
  const reader = createLineReader({ columns, rules: judgedBy, typeNames, rows, firstLine });
  return { ...place, rows, reader, hash: createHash('sha256'), headerLines: 0, bytes: 0 };
}

function closePart(upload: Upload, open: OpenPart): UsagePart {
  const { rows, reader, headerLines, memory } = open;
  let isReleased = false;
  const part: UsagePart = {
    batchId: open.batchId,
    part: upload.part++,
    firstLine: open.firstLine - headerLines,
    lines: reader.lines() + headerLines,
    contentHash: open.hash.digest(),
    rows: rows.count(),
    days: rows.days(),
    rejectedRows: reader.rejectedRows(),
    rejected: reader.rejected(),
    bytes: () => rows.bytes(null),
    from: (day) => partFrom(part, rows, day),
    numbered: (batchId) => numberedPart(part, rows, batchId),
    release() {
      if (!isReleased) upload.memories.push(memory);
      isReleased = true;
    },
  };
  return part;
}

function numberedPart(part: UsagePart, rows: UsageRows, batchId: BatchId): UsagePart {
  rows.renumber(batchId);
  const numbered: UsagePart = {
    ...part,
    batchId,
    from: (day) => partFrom(numbered, rows, day),
    numbered: (next) => numberedPart(numbered, rows, next),
  };
  return numbered;
}

function partFrom(part: UsagePart, rows: UsageRows, day: Day): UsagePart {
  const { refusal } = tooOld(day);
  const late = refusal === null ? [] : rows.linesBefore(day).map((line) => ({ line, ...refusal }));
  const left = part.rows - late.length;
  return {
    ...part,
    rows: left,
    days: part.days === null || left === 0 ? null : [Math.max(day, part.days[0]) as Day, part.days[1]],
    rejectedRows: part.rejectedRows + late.length,
    rejected: [...part.rejected, ...late].sort((a, b) => a.line - b.line).slice(0, maxRejectionsKept),
    bytes: () => rows.bytes(day),
  };
}

function columnsOf(header: string): UsageColumn[] {
  const cells = (cellsOf(header.trim()) ?? []).map((cell) => cell.trim().toLowerCase());
  const problems = [
    ...usageColumns.filter((column) => !cells.includes(column)).map((column) => `lacks the column ${column}`),
    ...cells
      .filter((cell) => !usageColumns.some((column) => column === cell))
      .map((cell) => `has an unknown column "${cell.slice(0, 50)}"`),
    ...(new Set(cells).size < cells.length ? ['names a column twice'] : []),
  ];
  if (problems.length === 0) return cells as UsageColumn[];
  throw new InvalidInputError(
    problems
      .slice(0, 20)
      .map((detail) => ({ pointer: '', code: 'invalid_header', detail: `The header of the CSV ${detail}.` })),
  );
}
