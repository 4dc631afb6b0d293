import {
  DummyDriver,
  Kysely,
  PostgresAdapter,
  PostgresIntrospector,
  PostgresQueryCompiler,
  type RawBuilder,
} from 'kysely';
import type { Bucket } from '../core/bucket.ts';

export { sql } from 'kysely';

/** The columns of one row as PostgreSQL writes them. */
export type RowTexts = readonly (string | null)[];

/** One SQL statement with its values, not yet run. `Row` is the shape of what it returns. */
export interface Statement<Row> {
  /** Named statements are prepared once a connection; only constant texts have names. */
  readonly name?: string;
  readonly text: string;
  readonly values: readonly unknown[];
  /** Makes a row of its texts; left out = by the names and types of the columns. */
  readonly rowOf?: (texts: RowTexts) => Row;
  /** All rows it is about stand in this bucket: of a cluster, the node that holds it is asked. A hint: every node answers. */
  readonly bucket?: Bucket;
  /** Carries the type only; never present. */
  readonly row?: Row;
}

/**
 * A statement whose text never changes: prepared once a connection under its name.
 * @param values turns the arguments into $1, $2, …
 */
export function statement<Row, Args extends readonly unknown[] = []>(
  name: string,
  text: string,
  values?: (...args: Args) => readonly unknown[],
): (...args: Args) => Statement<Row> {
  return (...args) => ({ name, text, values: values === undefined ? [] : values(...args) });
}

/**
 * The same statement with its rows made by a function, for those that are read most: the driver's way over the names and types
 * of the columns takes longer than the rest of a page.
 */
export const withRows = <Row>(
  { name, text, values }: Statement<unknown>,
  rowOf: (texts: RowTexts) => Row,
): Statement<Row> => (name === undefined ? { text, values, rowOf } : { name, text, values, rowOf });

/** The same statement, whose rows all stand in one bucket. */
export const inBucket = <Row>(statement: Statement<Row>, bucket: Bucket): Statement<Row> => ({ ...statement, bucket });

// Compiles only: no connection, no driver. Values always become parameters.
const compiler = new Kysely<unknown>({
  dialect: {
    createAdapter: () => new PostgresAdapter(),
    createDriver: () => new DummyDriver(),
    createIntrospector: (db) => new PostgresIntrospector(db),
    createQueryCompiler: () => new PostgresQueryCompiler(),
  },
});

/** A statement whose text depends on its arguments, made with the `sql` tag. Planned anew each time. */
export function dynamic<Row>(raw: RawBuilder<Row>): Statement<Row> {
  const { sql: text, parameters } = raw.compile(compiler);
  return { text, values: parameters };
}

const names = new Map<string, string>();

/**
 * The same for a statement that has few texts, whatever its arguments: each text is prepared once a connection. Values that
 * shape the text (`sql.lit`, `sql.raw`) must come from small fixed sets, or connections fill with plans.
 */
export function prepared<Row>(raw: RawBuilder<Row>): Statement<Row> {
  const compiled = dynamic(raw);
  let name = names.get(compiled.text);
  if (name === undefined) {
    name = `prepared_${names.size + 1}`;
    names.set(compiled.text, name);
  }
  return { ...compiled, name };
}

/** Where a statement over rows of several buckets says which they are. */
export interface BucketPlace {
  /** The column of the table that the rows are looked for in, with its alias: `o.bucket`. */
  readonly column: string;
  /** Which of the values is the array of buckets, counted from 0. */
  readonly at: number;
}

// More buckets than this are likely to stand in all shards of a node.
const fewBuckets = 64;

/**
 * A statement over rows given as one array a column, joined to a table. Where they are of few buckets, as of a single change, of one
 * customer or of a group commit, these stand in the condition as well: Citus asks their shards then, and all of them otherwise.
 * @param text `only` goes to the end of its conditions
 */
export function statementByBucket<Row, Args extends readonly unknown[]>(
  name: string,
  text: (only: string) => string,
  place: BucketPlace & { readonly values: (...args: Args) => readonly unknown[] },
): (...args: Args) => Statement<Row> {
  const wide = text('');
  return (...args) => {
    const values = place.values(...args);
    const buckets = new Set(values[place.at] as readonly Bucket[]);
    const [bucket] = buckets;
    if (bucket === undefined || buckets.size > fewBuckets) return { name, text: wide, values };
    const at = values.length + 1;
    if (buckets.size > 1) {
      const only = ` and ${place.column} = any($${at}::smallint[])`;
      return { name: `${name}_of_buckets`, text: text(only), values: [...values, [...buckets]] };
    }
    const only = ` and ${place.column} = $${at}::smallint`;
    return { name: `${name}_of_bucket`, text: text(only), values: [...values, bucket], bucket };
  };
}

/** Rows of values as columns of values: unnest takes an array a column. */
export function transpose(rows: readonly (readonly unknown[])[], width: number): unknown[][] {
  return Array.from({ length: width }, (_, column) => rows.map((row) => row[column]));
}
