import type { RowFault } from '../../core/import-line.ts';
import { type ShipmentCell, type ShipmentField, shipmentFields } from './shipment-import-row.ts';

/** A JSON document of a row: its cells as CSV would have them, and the fields nobody has a use for. */
export interface RowDocument {
  readonly cell: ShipmentCell;
  readonly unused: readonly string[];
}

const known: ReadonlySet<string> = new Set(shipmentFields);
// Fields that --errors adds: a mended file can be imported as it stands.
const own: ReadonlySet<string> = new Set(['error', 'line']);
const nothing: readonly string[] = [];

/**
 * Reads a JSON document of a row. Names of fields count without case; texts and numbers are read as the cells of a CSV file are
 * (a price in major units), null and '' say nothing.
 */
export function readRowDocument(document: object): RowDocument | RowFault {
  const cells = new Map<string, string>();
  let unused: string[] | null = null;
  for (const [name, value] of Object.entries(document)) {
    const field = name.trim().toLowerCase();
    if (!known.has(field)) {
      if (own.has(field)) continue;
      unused ??= [];
      unused.push(name);
      continue;
    }
    const text = textOf(field as ShipmentField, value);
    if (typeof text !== 'string') return text;
    if (cells.has(field)) return { code: 'malformed_row', detail: `has the field ${field} twice` };
    cells.set(field, text);
  }
  return { cell: (field) => cells.get(field) ?? '', unused: unused ?? nothing };
}

function textOf(field: ShipmentField, value: unknown): string | RowFault {
  if (typeof value === 'string') return value.trim();
  if (value === null) return '';
  if (typeof value !== 'number') return { code: `${field}_invalid`, detail: `${field} is neither text nor a number` };
  // Such a number was rounded when it was written or read: its last digits are nobody's.
  if (field === 'tracking_number' && !Number.isSafeInteger(value))
    return {
      code: 'tracking_number_spoiled',
      detail: 'the tracking number is a number with more digits than numbers keep: send it as text',
    };
  return String(value);
}
