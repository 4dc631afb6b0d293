import type { FileRow, LineSource, RejectedLine } from '../../core/import-line.ts';
import { decodeRow, encodeRow, stagedKey } from '../../core/staged-row.ts';
import { copyChunks } from '../../storage/copy.ts';
import type { Database } from '../../storage/database.ts';
import type { Statement } from '../../storage/sql.ts';
import type { Transaction } from '../../storage/transaction.ts';
import type { RunId } from '../job.ts';
import {
  analyseRows,
  copyLines,
  copyRows,
  createLines,
  createRows,
  dropTables,
  hasTables,
  importTables,
  linesPage,
  rowsPage,
} from './import-store-queries.ts';
import type { KeyedRow } from './row-staging.ts';

/** Runs one statement, in a transaction or outside. */
export type Reader = <Row>(statement: Statement<Row>) => Promise<Row[]>;

/** What is known of the file once the run has begun. */
export interface StoredFile {
  readonly format: 'csv' | 'ndjson';
  /** The first line of a CSV file. */
  readonly header: readonly string[];
}

/** Rows that belong together. */
export interface RowGroup {
  readonly key: string;
  readonly rows: readonly FileRow[];
}

/** What an import puts away in the database between its batches, and where it is found again by whoever goes on with the run. */
export interface ImportStore {
  create(tx: Transaction, file: StoredFile): Promise<void>;
  file(read: Reader): Promise<StoredFile>;
  putRows(tx: Transaction, rows: readonly KeyedRow[]): Promise<void>;
  /** All rows are there: they can be read by key. */
  prepareGroups(tx: Transaction): Promise<void>;
  /** Groups behind a key, with about so many rows; none = there are no more. */
  groupsAfter(read: Reader, key: string, rows: number): Promise<RowGroup[]>;
  putRejected(tx: Transaction, lines: readonly RejectedLine[]): Promise<void>;
  /** Rejected lines behind a line of the file, in its order. */
  rejectedAfter(db: Database, line: number): Promise<RejectedLine[]>;
  isThere(db: Database): Promise<boolean>;
  drop(db: Database): Promise<void>;
}

/** What is kept of a rejected line. A CSV line without its header. */
type LineFacts = Pick<RejectedLine, 'code' | 'detail'> & { readonly source: readonly string[] | string };

const fileLine = 0;
const rejectedPage = 1_000;

/** @param subject what the files hold, for the names of the tables */
export function createImportStore(subject: string, runId: RunId): ImportStore {
  const tables = importTables(subject, runId);
  let known: StoredFile | null = null;

  const file = async (read: Reader): Promise<StoredFile> => {
    const [stored] = known === null ? await read(linesPage(tables, fileLine - 1, 1)) : [];
    if (stored !== undefined) known = JSON.parse(stored.facts) as StoredFile;
    if (known === null) throw new Error('What the import had put away in the database is gone: cancel the run.');
    return known;
  };
  const putLines = async (tx: Transaction, lines: readonly (readonly [line: number, facts: object])[]) => {
    // JSON has no raw NUL and no lone surrogate, which PostgreSQL cannot store.
    const chunks = copyChunks(lines, ([line, facts]) => [line, JSON.stringify(facts)]);
    if (lines.length > 0) await tx.copyIn(copyLines(tables), chunks);
  };

  return {
    async create(tx, { format, header }) {
      await tx.run(createRows(tables));
      await tx.run(createLines(tables));
      await putLines(tx, [[fileLine, { format, header }]]);
    },
    file,
    async putRows(tx, rows) {
      const chunks = copyChunks(rows, ({ key, row }) => [stagedKey(key), row.line, encodeRow(row)]);
      if (rows.length > 0) await tx.copyIn(copyRows(tables), chunks);
    },
    async prepareGroups(tx) {
      await tx.run(analyseRows(tables));
    },
    async groupsAfter(read, key, rows) {
      const groups: { key: string; rows: FileRow[] }[] = [];
      for (const staged of await read(rowsPage(tables, key, rows))) {
        const row = decodeRow(staged.line, staged.cells);
        const last = groups.at(-1);
        if (last?.key === staged.key) last.rows.push(row);
        else groups.push({ key: staged.key, rows: [row] });
      }
      return groups;
    },
    putRejected: (tx, lines) =>
      putLines(
        tx,
        lines.map(({ line, ...rest }) => [line, factsOf(rest)]),
      ),
    async rejectedAfter(db, after) {
      const { header } = await file(db.query);
      const stored = await db.query(linesPage(tables, Math.max(fileLine, after), rejectedPage));
      return stored.map(({ line, facts }) => rejectedLine(line, JSON.parse(facts) as LineFacts, header));
    },
    isThere: async (db) => (await db.query(hasTables(tables)))[0]?.there === true,
    async drop(db) {
      await db.query(dropTables(tables));
    },
  };
}

const factsOf = ({ code, detail, source }: Omit<RejectedLine, 'line'>): LineFacts => ({
  code,
  detail,
  source: source.kind === 'csv' ? source.cells : source.text,
});

function rejectedLine(line: number, { code, detail, source }: LineFacts, header: readonly string[]): RejectedLine {
  const from: LineSource =
    typeof source === 'string' ? { kind: 'ndjson', text: source } : { kind: 'csv', header, cells: source };
  return { line, source: from, code, detail };
}
