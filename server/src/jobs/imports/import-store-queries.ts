import { dynamic, type Statement, sql } from '../../storage/sql.ts';
import type { RunId } from '../job.ts';

/**
 * What an import puts away between its batches, in tables of the run's own beside the engine's: durable like its cursor, and gone
 * at once when the run ends. Known to nobody else, so that Citus leaves them on the coordinator.
 */
export interface ImportTables {
  /** The rows of the file by what they belong to. */
  readonly rows: string;
  /** What was left out, and in line 0 what the file is. */
  readonly lines: string;
}

/** @param subject what the files hold: `order`, `shipment` */
export function importTables(subject: string, runId: RunId): ImportTables {
  const name = `milliard_jobs.${subject}_import_${runId.replaceAll('-', '')}`;
  return { rows: name, lines: `${name}_lines` };
}

/** The key is what rows that belong together have in common. Nothing is ever changed: nothing to vacuum. */
export const createRows = ({ rows }: ImportTables): Statement<never> => ({
  text: `create table ${rows} (key text collate "C" not null, line bigint not null, cells text not null, primary key (key, line))
    with (autovacuum_enabled = off)`,
  values: [],
});
export const createLines = ({ lines }: ImportTables): Statement<never> => ({
  text: `create table ${lines} (line bigint primary key, facts text not null) with (autovacuum_enabled = off)`,
  values: [],
});
export const dropTables = ({ rows, lines }: ImportTables): Statement<never> => ({
  text: `drop table if exists ${rows}, ${lines}`,
  values: [],
});

export const copyRows = ({ rows }: ImportTables): string => `copy ${rows} (key, line, cells) from stdin`;
export const copyLines = ({ lines }: ImportTables): string => `copy ${lines} (line, facts) from stdin`;

/** Without statistics a page could be planned as a sort of the whole file. */
export const analyseRows = ({ rows }: ImportTables): Statement<never> => ({ text: `analyze ${rows}`, values: [] });

export interface StagedRow {
  readonly key: string;
  readonly line: number;
  readonly cells: string;
}

/** So many rows behind a key, and the others of the last key. */
export const rowsPage = ({ rows }: ImportTables, after: string, limit: number): Statement<StagedRow> =>
  dynamic(sql<StagedRow>`
    select key, line::float8 as line, cells from ${sql.raw(rows)}
     where key > ${after}::text and key <= (select max(key) from (
             select key from ${sql.raw(rows)} where key > ${after}::text order by key, line limit ${limit}) page)
     order by key, line`);

export interface StoredLine {
  readonly line: number;
  readonly facts: string;
}

export const linesPage = ({ lines }: ImportTables, after: number, limit: number): Statement<StoredLine> =>
  dynamic(sql<StoredLine>`
    select line::float8 as line, facts from ${sql.raw(lines)} where line > ${after}::bigint order by line limit ${limit}`);

/** Whether the run has not cleared up yet. */
export const hasTables = ({ lines }: ImportTables): Statement<{ there: boolean }> =>
  dynamic(sql<{ there: boolean }>`select to_regclass(${lines}) is not null as there`);
