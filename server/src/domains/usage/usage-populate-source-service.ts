import { type Day, parseDay } from '../../core/days.ts';
import type { JobTotal } from '../../jobs/job.ts';
import { jobRefused } from '../../jobs/job-errors.ts';
import type { Database } from '../../storage/database.ts';
import {
  copyPage,
  countSourceUpTo,
  nextPage,
  plannedSource,
  type SourceCatalogue,
  type SourceColumn,
  type SourceShape,
  sourceHeader,
  sourceTable,
} from './usage-populate-queries.ts';

/** The columns that are read, by the names that the tables have them under unless a map says otherwise. */
export const populateFields = {
  key: [],
  subscription: ['subscription_id', 'subscription'],
  usage_date: ['usage_date', 'used_at'],
  used: [],
  price: ['price'],
} as const satisfies Record<string, readonly string[]>;

export type PopulateField = keyof typeof populateFields;

const usedNames = { data: ['kilobytes_used', 'used'], voice: ['seconds_used', 'used'] } as const;

export interface SourceTableOptions {
  /** As SQL writes it: `data_usage`, `billing."Data Usage"`. */
  readonly table: string;
  readonly usageType: 'data' | 'voice';
  /** Field -> column; several columns with `+` between give the first that is not null, with its name before the value. */
  readonly map: Readonly<Record<string, string>>;
}

/** A table of raw usage, in this or another database. */
export interface SourceTable {
  readonly name: string;
  /** The next rows behind a key, at most `limit` or a few more; null = there are no more. */
  pageAfter(key: string | null, limit: number): Promise<SourceRows | null>;
  total(): Promise<JobTotal>;
}

export interface SourceRows {
  readonly key: string;
  readonly rows: number;
  readonly firstDay: Day | null;
  /** CSV with its header. */
  readonly bytes: Buffer;
}

/** Looks at a table and how it can be read. @throws DomainError `job_refused` with what is missing */
export async function inspectSource(source: Database, options: SourceTableOptions): Promise<SourceTable> {
  const [catalogue] = await source.query(sourceTable(options.table));
  if (catalogue === undefined)
    throw jobRefused(`There is no table ${options.table} in that database, or its user may not see it.`);
  const shape = shapeOf(catalogue, options);
  return {
    name: catalogue.displayed,
    async pageAfter(after, limit) {
      const [page] = await source.query(nextPage(shape, after, limit));
      const upTo = page?.key ?? null;
      if (page === undefined || upTo === null) return null;
      const bytes = await source.transaction(async (tx) => {
        const chunks: Buffer[] = [sourceHeader];
        for await (const chunk of tx.copyOut(copyPage(shape, after, upTo))) chunks.push(chunk);
        return Buffer.concat(chunks);
      });
      const firstDay = page.firstDay === null ? null : parseDay(page.firstDay);
      return { key: upTo, rows: Number(page.rows), firstDay, bytes };
    },
    total: () => totalOf(source, shape),
  };
}

function shapeOf({ quoted: table, displayed, columns }: SourceCatalogue, options: SourceTableOptions): SourceShape {
  const { usageType } = options;
  const find = (field: PopulateField): SourceColumn => {
    const wanted = mapped(options, field);
    const names: readonly string[] =
      wanted !== undefined ? [wanted] : field === 'used' ? usedNames[usageType] : populateFields[field];
    const column = names.flatMap((name) => columns?.find((one) => one.name === name) ?? [])[0];
    if (column !== undefined) return column;
    throw jobRefused(
      `${displayed} has no column ${names.join(' or ')} for ${field}. Name it: --map ${field}=COLUMN (or ${usageType}.${field}=COLUMN). ` +
        `Its columns are: ${(columns ?? []).map(({ name }) => name).join(', ')}.`,
    );
  };
  const key = keyOf({ displayed, columns: columns ?? [] }, options, find);
  const usedAt = find('usage_date');
  if (!['date', 'timestamp without time zone', 'timestamp with time zone'].includes(usedAt.type))
    throw jobRefused(`${displayed}.${usedAt.name} is of type ${usedAt.type}: a date or timestamp is needed.`);
  const number = (field: 'used' | 'price'): string => {
    const column = find(field);
    if (column.category === 'N') return column.quoted;
    throw jobRefused(`${displayed}.${column.name} is of type ${column.type}: a number is needed.`);
  };
  return {
    ...{ table, displayed, usageType, key: key.quoted, keyType: key.type },
    subscription: subscriptionOf(options, columns ?? [], find),
    // Times without a zone are taken for UTC.
    usedAt:
      usedAt.type === 'timestamp with time zone'
        ? `(${usedAt.quoted} at time zone 'UTC')`
        : `${usedAt.quoted}::timestamp`,
    used: number('used'),
    price: number('price'),
  };
}

const mapped = ({ map, usageType }: SourceTableOptions, field: PopulateField): string | undefined =>
  map[`${usageType}.${field}`] ?? map[field];

/** What tells one row from all others, for ever. */
function keyOf(
  { displayed, columns }: { readonly displayed: string; readonly columns: readonly SourceColumn[] },
  options: SourceTableOptions,
  find: (field: PopulateField) => SourceColumn,
): SourceColumn {
  const key = mapped(options, 'key') === undefined ? columns.find((one) => one.isPrimaryKey) : find('key');
  if (key === undefined)
    throw jobRefused(
      `${displayed} has no primary key of one column. Name a unique column: --map ${options.usageType}.key=COLUMN.`,
    );
  if (key.isNotNull && key.isUnique) return key;
  throw jobRefused(
    `${displayed}.${key.name} may be empty or stand twice: rows are told apart by it. Use a NOT NULL column with a unique index.`,
  );
}

function subscriptionOf(
  options: SourceTableOptions,
  columns: readonly SourceColumn[],
  find: (field: PopulateField) => SourceColumn,
): string {
  const names = mapped(options, 'subscription')?.split('+') ?? [];
  if (names.length < 2) return `${find('subscription').quoted}::text`;
  const parts = names.map((name) => {
    const column = columns.find((one) => one.name === name);
    if (column === undefined)
      throw jobRefused(`${options.table} has no column ${name}, which --map gives to subscription.`);
    return `'${name.replaceAll("'", "''")}:' || ${column.quoted}::text`;
  });
  return `coalesce(${parts.join(', ')})`;
}

// So many are counted in some hundredths of a second.
const countedRows = 100_000;

async function totalOf(source: Database, shape: SourceShape): Promise<JobTotal> {
  const counted = Number((await source.query(countSourceUpTo(shape, countedRows)))[0]?.rows ?? 0n);
  if (counted < countedRows) return { rows: counted, precision: 'exact' };
  const planned = Number((await source.query(plannedSource(shape)))[0]?.rows ?? 0n);
  return { rows: Math.max(counted, planned), precision: 'estimate' };
}
