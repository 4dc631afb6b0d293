import type pg from 'pg';
import type { Statement } from './sql.ts';

const texts: pg.CustomTypesConfig = { getTypeParser: () => (text: string) => text };

/** A statement in the driver's form. */
export function queryConfig(statement: Statement<unknown>): pg.QueryConfig {
  const values = statement.values as unknown[];
  const config: pg.QueryConfig =
    statement.name === undefined
      ? { text: statement.text, values }
      : { name: statement.name, text: statement.text, values };
  if (statement.rowOf === undefined) return config;
  return { ...config, rowMode: 'array', types: texts } as pg.QueryConfig;
}

/** The rows of its answer. */
export function rowsOf<Row>({ rowOf }: Statement<Row>, { rows }: pg.QueryResult): Row[] {
  return rowOf === undefined ? (rows as Row[]) : rows.map(rowOf);
}
