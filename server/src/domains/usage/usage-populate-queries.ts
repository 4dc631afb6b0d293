import type { Statement } from '../../storage/sql.ts';
import { usageCsvHeader } from './usage-generator.ts';

/** A column of a table that is read. */
export interface SourceColumn {
  readonly name: string;
  /** As SQL writes it. */
  readonly quoted: string;
  readonly type: string;
  /** Of the catalogue: N = a number, D = a date or time. */
  readonly category: string;
  readonly isNotNull: boolean;
  /** Unique alone, for all rows. */
  readonly isUnique: boolean;
  readonly isPrimaryKey: boolean;
}

export interface SourceCatalogue {
  /** As SQL writes it, with its schema. */
  readonly quoted: string;
  /** For people and in the ids of records: `public.data_usage`. */
  readonly displayed: string;
  readonly columns: readonly SourceColumn[] | null;
}

/** No row: there is no such table, or it is not to be seen. */
export const sourceTable = (name: string): Statement<SourceCatalogue> => ({
  text: `select format('%I.%I', n.nspname, c.relname) as quoted, n.nspname || '.' || c.relname as displayed,
      (select json_agg(json_build_object('name', a.attname, 'quoted', quote_ident(a.attname), 'type', format_type(a.atttypid, null),
          'category', t.typcategory, 'isNotNull', a.attnotnull,
          'isUnique', exists (select from pg_index i where i.indrelid = c.oid and i.indisunique and i.indisvalid and i.indpred is null
                                and i.indnkeyatts = 1 and i.indkey[0] = a.attnum),
          'isPrimaryKey', exists (select from pg_index i where i.indrelid = c.oid and i.indisprimary and i.indnkeyatts = 1
                                    and i.indkey[0] = a.attnum)) order by a.attnum)
         from pg_attribute a join pg_type t on t.oid = a.atttypid where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped) as columns
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
   where c.oid = to_regclass($1) and c.relkind in ('r', 'p', 'm', 'v', 'f')`,
  values: [name],
});

/** What is read of a table: expressions of SQL, made of names that the catalogue gave. */
export interface SourceShape {
  readonly table: string;
  readonly displayed: string;
  readonly key: string;
  readonly keyType: string;
  readonly subscription: string;
  /** A timestamp without zone, in UTC. */
  readonly usedAt: string;
  readonly used: string;
  readonly price: string;
  readonly usageType: string;
}

export interface SourcePage {
  /** The last key; null = there are no more rows. */
  readonly key: string | null;
  readonly rows: bigint;
  /** The earliest UTC day in it. */
  readonly firstDay: string | null;
}

/** The next rows behind a key. */
export const nextPage = (
  { table, key, keyType, usedAt }: SourceShape,
  after: string | null,
  limit: number,
): Statement<SourcePage> => ({
  text: `with page as (select ${key} as k, ${usedAt} as at from ${table}
      ${after === null ? '' : `where ${key} > cast($2 as ${keyType})`} order by ${key} limit $1)
    select (select p.k::text from page p order by p.k desc limit 1) as key, count(*) as rows, to_char(min(at), 'YYYY-MM-DD') as "firstDay" from page`,
  values: after === null ? [limit] : [limit, after],
});

// A value with a line end would make two lines of one: it is left out, and the record is refused without it.
const onOneLine = (text: string): string =>
  `case when strpos(${text}, chr(10)) = 0 and strpos(${text}, chr(13)) = 0 then ${text} end`;

// COPY takes no parameters. Bytes as hexadecimal are the same under every setting of the server.
const literal = (text: string): string => `convert_from(decode('${Buffer.from(text).toString('hex')}', 'hex'), 'UTF8')`;

/** The rows behind `after` up to `upTo` as CSV, in the columns of `usageCsvHeader`, without it. */
export function copyPage(shape: SourceShape, after: string | null, upTo: string): string {
  const { table, displayed, key, keyType, subscription, usedAt, used, price, usageType } = shape;
  const bounds = [
    ...(after === null ? [] : [`${key} > cast(${literal(after)} as ${keyType})`]),
    `${key} <= cast(${literal(upTo)} as ${keyType})`,
  ];
  return `copy (select ${literal(`${displayed}:`)} || ${onOneLine(`${key}::text`)}, ${onOneLine(subscription)}, '${usageType}',
      to_char(${usedAt}, 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), trim_scale(${used}::numeric)::text, trim_scale(${price}::numeric)::text
    from ${table} where ${bounds.join(' and ')} order by ${key}) to stdout (format csv)`;
}

export const sourceHeader = Buffer.from(usageCsvHeader);

export const countSourceUpTo = ({ table }: SourceShape, limit: number): Statement<{ rows: bigint }> => ({
  text: `select count(*) as rows from (select 1 from ${table} limit $1) t`,
  values: [limit],
});

export const plannedSource = ({ table }: SourceShape): Statement<{ rows: bigint }> => ({
  text: `select greatest(sum(c.reltuples), 0)::bigint as rows from pg_class c
    where c.oid in (select relid from pg_partition_tree($1::regclass) union select $1::regclass)`,
  values: [table],
});
