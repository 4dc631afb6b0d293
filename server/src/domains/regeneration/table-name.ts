/** A table as it was named by a person: each part exactly as the catalogue has it. */
export interface TableName {
  /** null = not named: the first one that the search path finds. */
  readonly schema: string | null;
  readonly table: string;
}

/** One part of a name: quoted, with `""` for a quote in it, or anything up to the next dot. */
const part = /"((?:[^"]|"")+)"|([^".][^.]*)/y;

/**
 * Reads `table`, `schema.table` and `"sch.ema"."ta ble"`. Nothing is folded to lower case: a name is what the catalogue has.
 * Quotes are needed only around a part that has a dot in it or begins with a quote.
 * @returns null when it is not such a name
 */
export function parseTableName(text: string): TableName | null {
  const parts: string[] = [];
  let at = 0;
  for (;;) {
    part.lastIndex = at;
    const match = part.exec(text);
    if (match === null) return null;
    parts.push(match[1]?.replaceAll('""', '"') ?? match[2] ?? '');
    at = part.lastIndex;
    if (at === text.length) break;
    if (text[at] !== '.') return null;
    at++;
  }
  const [first, second] = parts;
  if (first === undefined || parts.length > 2) return null;
  return second === undefined ? { schema: null, table: first } : { schema: first, table: second };
}

/** An SQL identifier, always quoted. */
export const quoted = (name: string): string => `"${name.replaceAll('"', '""')}"`;

/** As SQL has it: `"public"."tickets"`. */
export const qualified = ({ schema, table }: TableName): string =>
  schema === null ? quoted(table) : `${quoted(schema)}.${quoted(table)}`;

/** For people and for --table: quoted only where it must be: `public.tickets`, `"we.ird".t`. */
export const displayed = ({ schema, table }: TableName): string =>
  [schema, table].flatMap((name) => (name === null ? [] : [/^"|\./.test(name) ? quoted(name) : name])).join('.');
