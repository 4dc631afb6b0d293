import type { CsvRow } from '../../core/csv-reader.ts';
import type { Currency } from '../../core/money.ts';
import type { BatchAsk, JobBatch, JobContext, JobWork } from '../../jobs/job.ts';
import type { Transaction } from '../../storage/transaction.ts';
import { createImportApply } from './order-import-apply-service.ts';
import {
  type FilePiece,
  type FilePieces,
  type ImportFiles,
  openPieces,
  readHeader,
} from './order-import-file-service.ts';
import { createOrdersInHand, type StagedOrder } from './order-import-orders-service.ts';
import { type ImportParameters, readingOf } from './order-import-parameters.ts';
import type { ReadOrder } from './order-import-part.ts';
import type { ImportCursor, ImportPlan } from './order-import-plan.ts';
import { createRejectedReport } from './order-import-report-service.ts';
import { createImportStore } from './order-import-store-service.ts';
import type { OrderWriter } from './order-write-service.ts';

export interface ImportWorkDeps {
  readonly writer: OrderWriter;
  readonly files: ImportFiles;
  readonly defaultCurrency: Currency;
}

type Batch = JobBatch<ImportCursor, ImportPlan>;
type ReadPhase = Extract<ImportCursor, { phase: 'read' }>;
type WritePhase = Extract<ImportCursor, { phase: 'write' }>;

const beginning: ReadPhase = { phase: 'read', line: 0, rows: 0 };

export function createImportWork(
  deps: ImportWorkDeps,
  context: JobContext<ImportParameters>,
): JobWork<ImportCursor, ImportPlan> {
  const { parameters, db } = context;
  const reading = readingOf(parameters, deps.defaultCurrency);
  const store = createImportStore(context.runId);
  const report = createRejectedReport(deps.files, store, context);
  const orders = createOrdersInHand(store, reading, context);
  const apply = createImportApply({ store, writer: deps.writer, reading, rehearsal: context.rehearsal });
  let pieces: FilePieces | null = null;

  /** The file as it was when the run was started. */
  const checked = async () => {
    const facts = await deps.files.inspect(parameters.file);
    if (parameters.sha256 === null || facts.sha256 === parameters.sha256) return facts;
    throw new Error(
      `${parameters.file} has changed since this run was started. Put the former file back, or cancel the run ` +
        `(milliard jobs cancel ${context.runId}) and import the file as it is now: orders that are stored already are recognised.`,
    );
  };
  const piecesAfter = async (line: number, rows: number): Promise<readonly FilePiece[]> => {
    if (pieces === null) {
      const { format } = await checked();
      pieces = await openPieces(deps.files, parameters.file, { format, after: line, signal: context.signal });
    }
    return pieces.ahead.take({ reader: 'file', weight: rows, isDone: (piece) => piece.line <= line });
  };
  const planReading = async (tx: Transaction, at: ReadPhase, rows: number): Promise<Batch | null> => {
    const found = await piecesAfter(at.line, rows);
    if (found.length > 0) return batchOfPieces(found, at);
    const { format } = await store.file(tx.run);
    return format === 'csv' ? allRowsRead(at) : null;
  };

  return {
    async begin(tx) {
      const { format } = await checked();
      const header = format === 'csv' ? (await readHeader(deps.files, parameters.file, reading)).header : [];
      await store.create(tx, { format, header });
    },
    async total() {
      const { format, lines } = await checked();
      // Blank lines, and those within quotes, are no rows of their own.
      return { rows: format === 'csv' ? 2 * Math.max(0, lines - 1) : lines, precision: 'estimate' };
    },
    async plan(tx, { after, rows }: BatchAsk<ImportCursor>) {
      const at = after ?? beginning;
      if (at.phase === 'read') return planReading(tx, at, rows);
      return batchOfOrders(await orders.after(tx, at.key, rows), at, rows);
    },
    apply: (tx, { plan }) => apply(tx, plan),
    async finish() {
      const rejected = await report.tell();
      await store.drop(db);
      return { kind: 'done', result: { file: parameters.file, first_rejected: rejected } };
    },
    cancel: () => store.drop(db),
    async close() {
      await Promise.all([pieces?.close(), orders.settle(), report.close()]);
    },
  };
}

function batchOfPieces(pieces: readonly FilePiece[], at: ReadPhase): Batch {
  const rows: CsvRow[] = [];
  const orders: ReadOrder[] = [];
  for (const piece of pieces) {
    if ('row' in piece) rows.push(piece.row);
    else orders.push(piece.order);
  }
  return {
    rows: pieces.length,
    cursor: { phase: 'read', line: pieces.at(-1)?.line ?? at.line, rows: at.rows + pieces.length },
    plan: rows.length > 0 ? { kind: 'rows', rows } : { kind: 'orders', orders, rows: orders.length },
    rowKey: `line ${pieces[0]?.line}`,
  };
}

const allRowsRead = ({ rows }: ReadPhase): Batch => ({
  rows: 0,
  cursor: { phase: 'write', key: '', left: rows },
  plan: { kind: 'all rows are read' },
  rowKey: 'the end of the file',
});

/**
 * Orders with at least so many rows as were asked for, of which only these are counted: the last order takes its others with
 * it. What is left at the end, with the rows that made no order, is counted then.
 */
function batchOfOrders(staged: readonly StagedOrder[], { key, left }: WritePhase, asked: number): Batch | null {
  const rows = Math.min(left, staged.length === 0 ? asked : rowsIn(staged), asked);
  const last = staged.at(-1);
  if (last === undefined && rows === 0) return null;
  return {
    rows,
    cursor: { phase: 'write', key: last?.key ?? key, left: left - rows },
    plan:
      last === undefined ? { kind: 'nothing' } : { kind: 'orders', orders: staged.map(({ order }) => order), rows: 0 },
    rowKey: `the order of line ${staged[0]?.line ?? '?'}`,
  };
}

const rowsIn = (staged: readonly StagedOrder[]): number => staged.reduce((sum, { rows }) => sum + rows, 0);
