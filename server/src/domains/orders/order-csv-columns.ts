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
}

// Columns that --errors adds: a mended file can be imported as it stands.
const ownColumns = new Set(['error', 'line']);

/**
 * Finds the columns of a preset in the first line of a file, in any order and whatever the case of letters.
 * @throws ImportFileError naming the columns that are missing or doubled
 */
export function bindColumns<Name extends string>(
  header: readonly string[],
  wanted: Readonly<Record<Name, WantedColumn>>,
): BoundColumns<Name> {
  const names = header.map((name) => name.trim().toLowerCase());
  const faults: string[] = [];
  const places = new Map<string, number>();
  const used = new Set<number>();
  for (const [name, column] of Object.entries<WantedColumn>(wanted)) {
    // Where a file has several of a column's names, the first one counts: an export has order_number and our own order_id.
    const known = column.names.map((known) => known.toLowerCase()).find((known) => names.includes(known));
    if (known === undefined) {
      if (column.required) faults.push(`it has no column ${column.names.join(' or ')}`);
      continue;
    }
    const place = names.indexOf(known);
    if (names.includes(known, place + 1)) faults.push(`it has the column ${header[place]} twice`);
    places.set(name, place);
    used.add(place);
  }
  if (faults.length > 0) {
    throw new ImportFileError(
      `This file cannot be imported: ${faults.join('; ')}. Its first line is: ${header.join(',').slice(0, 300)}`,
    );
  }
  return {
    cell: (cells, name) => cells[places.get(name) ?? -1]?.trim() ?? '',
    unused: header.filter((_, i) => !used.has(i) && !ownColumns.has(names[i] ?? '')),
  };
}
