/** The file cannot be imported as a whole: not a single line of it was used. */
export class ImportFileError extends Error {
  override readonly name = 'ImportFileError';
}

/** A column by its names in files, the best first. */
export interface WantedColumn {
  readonly names: readonly string[];
  readonly required: boolean;
}

/** Where the columns of a preset stand in a file. */
export interface BoundColumns<Name extends string> {
  /** The cell without blanks around it; '' where the file has no such column or the row is too short. */
  cell(cells: readonly string[], name: Name): string;
  /** Columns of the file that the preset has no use for. */
  readonly unused: readonly string[];
  /** Which column each of the preset's fields is read from, by the column's name in the file; null where it has none. */
  readonly mapping: Readonly<Record<Name, string | null>>;
}

/** Columns by other names than the preset knows them: field -> column. */
export type ColumnMap = ReadonlyMap<string, string>;

// Columns that --errors adds: a mended file can be imported as it stands.
const ownColumns = new Set(['error', 'line']);

const normal = (name: string): string => name.trim().toLowerCase();

/**
 * Finds the columns of a preset in the first line of a file, in any order and whatever the case of letters. A field of `map` is
 * read from the column it names and from no other; a column that the map gives to one field is no other field's.
 * @throws ImportFileError naming the columns that are missing or doubled
 */
export function bindColumns<Name extends string>(
  header: readonly string[],
  wanted: Readonly<Record<Name, WantedColumn>>,
  map: ColumnMap = new Map(),
): BoundColumns<Name> {
  const names = header.map(normal);
  const taken = new Set([...map.values()].map(normal));
  const faults: string[] = [];
  const places = new Map<string, number>();
  for (const [name, column] of Object.entries<WantedColumn>(wanted)) {
    const mapped = map.get(name);
    // Where a file has several of a column's names, the first one counts: an export has order_number and our own order_id.
    const known = (
      mapped === undefined ? column.names.map(normal).filter((one) => !taken.has(one)) : [normal(mapped)]
    ).find((one) => names.includes(one));
    if (known === undefined) {
      if (mapped !== undefined) faults.push(`it has no column ${mapped}, which --map gives to ${name}`);
      else if (column.required) faults.push(`it has no column ${column.names.join(' or ')}`);
      continue;
    }
    const place = names.indexOf(known);
    if (names.includes(known, place + 1)) faults.push(`it has the column ${header[place]} twice`);
    places.set(name, place);
  }
  if (faults.length > 0) {
    throw new ImportFileError(
      `This file cannot be imported: ${faults.join('; ')}. Its first line is: ${header.join(',').slice(0, 300)}`,
    );
  }
  const used = new Set(places.values());
  return {
    cell: (cells, name) => cells[places.get(name) ?? -1]?.trim() ?? '',
    unused: header.filter((_, i) => !used.has(i) && !ownColumns.has(names[i] ?? '')),
    mapping: Object.fromEntries(
      Object.keys(wanted).map((name) => [name, header[places.get(name) ?? -1]?.trim() ?? null]),
    ) as Record<Name, string | null>,
  };
}
