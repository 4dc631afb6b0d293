import type { FileRow, RejectedLine } from '../../core/import-line.ts';
import { sourceLine } from '../../core/import-line.ts';
import type { BoundFile, ImportReading } from '../../core/import-reading.ts';
import type { Transaction } from '../../storage/transaction.ts';
import type { BatchAsk, BatchResult, JobBatch, JobContext, JobWork } from '../job.ts';
import {
  bindFile,
  type FileFacts,
  type FilePiece,
  type FilePieces,
  type ImportFiles,
  openPieces,
} from './import-files.ts';
import type { ImportParameters } from './import-parameters.ts';
import type { ImportCursor, ImportPlan } from './import-plan.ts';
import { createImportStore, type ImportStore, type Reader } from './import-store.ts';
import { createItemsInHand, type StagedItem } from './items-in-hand.ts';
import { createRejectedReport } from './rejected-report.ts';
import type { KeyedRow } from './row-staging.ts';

/** What became of items that were written. */
export interface WrittenItems {
  /** Added up over the run; `rows` and `rows_rejected` are counted by the import itself. */
  readonly counts: Readonly<Record<string, number>>;
  /** Lines that make no part of what was written. */
  readonly rejected: readonly RejectedLine[];
}

/** What an import of one subject does beside reading files. */
export interface ImportSubject<Item> {
  /** What the files hold, in the singular: `order`. */
  readonly name: string;
  readonly reading: ImportReading<Item>;
  /** Writes items in the transaction of a batch, with those of their rows that are no good left out. */
  write(tx: Transaction, items: readonly Item[]): Promise<WrittenItems>;
  /** Told when the transaction of a batch is over, whether or not it was committed. */
  settled?(): void | Promise<void>;
}

type Batch<Item> = JobBatch<ImportCursor, ImportPlan<Item>>;
type ReadPhase = Extract<ImportCursor, { phase: 'read' }>;
type WritePhase = Extract<ImportCursor, { phase: 'write' }>;

const beginning: ReadPhase = { phase: 'read', line: 0, rows: 0 };

/** A file as it was when its run was started. @throws Error with a sentence when it has changed */
async function checkedFile(
  files: ImportFiles,
  subject: string,
  { parameters, runId }: JobContext<ImportParameters>,
): Promise<FileFacts> {
  const facts = await files.inspect(parameters.file);
  if (parameters.sha256 === null || facts.sha256 === parameters.sha256) return facts;
  throw new Error(
    `${parameters.file} has changed since this run was started. Put the former file back, or cancel the run ` +
      `(milliard jobs cancel ${runId}) and import the file as it is now: ${subject}s that are stored already are recognised.`,
  );
}

/**
 * The work of a run that imports a file: rows that belong together may stand anywhere in it, so they are put away by key first;
 * then what they make is written, key by key. Rows that stand alone are written as they are read.
 */
export function createImportWork<Item>(
  files: ImportFiles,
  subject: ImportSubject<Item>,
  context: JobContext<ImportParameters>,
): JobWork<ImportCursor, ImportPlan<Item>> {
  const { parameters, db, signal } = context;
  const { reading } = subject;
  const store = createImportStore(subject.name, context.runId);
  const report = createRejectedReport(files, store, context);
  let bound: BoundFile<Item> | null = null;
  const boundBy = async (read: Reader): Promise<BoundFile<Item>> => {
    if (bound !== null) return bound;
    const { format, header } = await store.file(read);
    bound = format === 'csv' ? reading.csv({ line: 1, cells: header, fault: null }) : reading.ndjson();
    return bound;
  };
  const items = createItemsInHand(store, boundBy, context);
  const checked = () => checkedFile(files, subject.name, context);
  let pieces: FilePieces<Item> | null = null;

  const piecesAfter = async (tx: Transaction, line: number, rows: number): Promise<readonly FilePiece<Item>[]> => {
    if (pieces === null) {
      const { format } = await checked();
      const { maxLineChars } = reading;
      const options = {
        path: parameters.file,
        format,
        bound: await boundBy(tx.run),
        maxLineChars,
        after: line,
        signal,
      };
      pieces = await openPieces(files, options);
    }
    return pieces.ahead.take({ reader: 'file', weight: rows, isDone: (piece) => piece.line <= line });
  };

  return {
    async begin(tx) {
      const { format } = await checked();
      const { header } = await bindFile(files, { path: parameters.file, format }, reading);
      await store.create(tx, { format, header });
    },
    async total() {
      const { format, lines } = await checked();
      const { groupOf } = await bindFile(files, { path: parameters.file, format }, reading);
      // Blank lines, and those within quotes, are no rows of their own.
      const rows = format === 'csv' ? Math.max(0, lines - 1) : lines;
      return { rows: groupOf === null ? rows : 2 * rows, precision: 'estimate' };
    },
    async plan(tx, { after, rows }: BatchAsk<ImportCursor>) {
      const at = after ?? beginning;
      if (at.phase === 'write') return batchOfItems(await items.after(tx, at.key, rows), at, rows);
      const found = await piecesAfter(tx, at.line, rows);
      if (found.length > 0) return batchOfPieces(found, at);
      return (await boundBy(tx.run)).groupOf === null ? null : allRowsRead(at);
    },
    apply: async (tx, { plan }) => applyPlan({ store, subject, bound: await boundBy(tx.run) }, tx, plan),
    settled: () => subject.settled?.(),
    async finish() {
      const rejected = await report.tell();
      await store.drop(db);
      return { kind: 'done', result: { file: parameters.file, first_rejected: rejected } };
    },
    cancel: () => store.drop(db),
    async close() {
      await Promise.all([pieces?.close(), items.settle(), report.close()]);
    },
  };
}

function batchOfPieces<Item>(pieces: readonly FilePiece<Item>[], at: ReadPhase): Batch<Item> {
  const rows: FileRow[] = [];
  const items: Item[] = [];
  for (const piece of pieces) {
    if (piece.kind === 'row') rows.push(piece.row);
    else items.push(piece.item);
  }
  return {
    rows: pieces.length,
    cursor: { phase: 'read', line: pieces.at(-1)?.line ?? at.line, rows: at.rows + pieces.length },
    plan: rows.length > 0 ? { kind: 'rows', rows } : { kind: 'items', items, rows: items.length },
    rowKey: `line ${pieces[0]?.line}`,
  };
}

const allRowsRead = <Item>({ rows }: ReadPhase): Batch<Item> => ({
  rows: 0,
  cursor: { phase: 'write', key: '', left: rows },
  plan: { kind: 'all rows are read' },
  rowKey: 'the end of the file',
});

/**
 * Items with at least so many rows as were asked for, of which only these are counted: the last item takes its others with it.
 * What is left at the end, with the rows that made no item, is counted then.
 */
function batchOfItems<Item>(
  staged: readonly StagedItem<Item>[],
  { key, left }: WritePhase,
  asked: number,
): Batch<Item> | null {
  const rows = Math.min(left, staged.length === 0 ? asked : rowsIn(staged), asked);
  const last = staged.at(-1);
  if (last === undefined && rows === 0) return null;
  return {
    rows,
    cursor: { phase: 'write', key: last?.key ?? key, left: left - rows },
    plan: last === undefined ? { kind: 'nothing' } : { kind: 'items', items: staged.map(({ item }) => item), rows: 0 },
    rowKey: `the rows that begin with line ${staged[0]?.line ?? '?'}`,
  };
}

const rowsIn = (staged: readonly StagedItem<unknown>[]): number => staged.reduce((sum, { rows }) => sum + rows, 0);

interface Applying<Item> {
  readonly store: ImportStore;
  readonly subject: ImportSubject<Item>;
  readonly bound: BoundFile<Item>;
}

async function applyPlan<Item>(
  { store, subject, bound }: Applying<Item>,
  tx: Transaction,
  plan: ImportPlan<Item>,
): Promise<BatchResult> {
  switch (plan.kind) {
    case 'rows':
      return putRowsAway(store, tx, { rows: plan.rows, bound });
    case 'items':
      return writeItems({ store, subject }, tx, plan);
    case 'all rows are read':
      await store.prepareGroups(tx);
      return { counts: {} };
    case 'nothing':
      return { counts: {} };
  }
}

/** Rows that belong to nothing are rejected at once. */
async function putRowsAway(
  store: ImportStore,
  tx: Transaction,
  { rows, bound }: { readonly rows: readonly FileRow[]; readonly bound: BoundFile<unknown> },
): Promise<BatchResult> {
  const staged: KeyedRow[] = [];
  const rejected: RejectedLine[] = [];
  for (const row of rows) {
    const group = bound.groupOf?.(row) ?? '';
    if (typeof group === 'string') staged.push({ key: group, row });
    else rejected.push({ ...sourceLine(row, bound.header), ...group });
  }
  await store.putRows(tx, staged);
  await store.putRejected(tx, rejected);
  return { counts: { rows: rows.length, rows_rejected: rejected.length } };
}

async function writeItems<Item>(
  { store, subject }: { readonly store: ImportStore; readonly subject: ImportSubject<Item> },
  tx: Transaction,
  { items, rows }: { readonly items: readonly Item[]; readonly rows: number },
): Promise<BatchResult> {
  const { counts, rejected } = await subject.write(tx, items);
  await store.putRejected(tx, rejected);
  return { counts: { ...counts, rows, rows_rejected: rejected.length } };
}
