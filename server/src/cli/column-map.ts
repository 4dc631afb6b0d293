import type { ColumnMap } from '../core/csv-columns.ts';
import { UsageError } from './stopped.ts';

/** What columns are mapped to, for messages. */
export interface ColumnOwner {
  /** `an order` */
  readonly article: string;
  /** `sku=Article` */
  readonly example: string;
  readonly fields: readonly string[];
}

const order = { article: 'an order', example: 'sku=Article' };

/**
 * Reads `--map field=column,field=column`; the flag may be given several times. A comma begins the next pair only where a name
 * and "=" follow, so the names of columns may hold commas.
 * @param fields what columns may be mapped to
 * @throws UsageError naming what is unknown, empty or doubled
 */
export function readColumnMap(
  texts: readonly string[],
  fields: readonly string[],
  owner: Omit<ColumnOwner, 'fields'> = order,
): ColumnMap {
  const map = new Map<string, string>();
  const columns = new Map<string, string>();
  for (const pair of texts.flatMap((text) => text.split(/,(?=\s*\w+\s*=)/))) {
    const at = pair.indexOf('=');
    const [field, column] = at < 0 ? [pair.trim(), ''] : [pair.slice(0, at).trim(), pair.slice(at + 1).trim()];
    if (field === '' || column === '') {
      throw new UsageError(`--map has "${pair.trim()}": give field=column, for example ${owner.example}.`);
    }
    if (!fields.includes(field)) {
      throw new UsageError(`--map: ${owner.article} has no field "${field}". The fields are: ${fields.join(', ')}.`);
    }
    if (map.has(field)) throw new UsageError(`--map gives ${field} two columns: ${map.get(field)} and ${column}.`);
    const other = columns.get(column.toLowerCase());
    if (other !== undefined)
      throw new UsageError(`--map gives the column ${column} to two fields: ${other} and ${field}.`);
    map.set(field, column);
    columns.set(column.toLowerCase(), field);
  }
  return map;
}
