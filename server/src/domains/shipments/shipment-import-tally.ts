import type { RejectedLine } from '../../core/import-line.ts';
import type { ImportOutcome } from './shipment-import-merge.ts';
import type { ShipmentKey } from './tracking-key.ts';

/** Counts of an import; shipments are distinct ones. */
export interface ShipmentImportSummary {
  /** Lines of the file, without the first of a CSV file and without blank ones. */
  readonly rows: number;
  readonly rowsRejected: number;
  readonly shipmentsCreated: number;
  readonly shipmentsUpdated: number;
  readonly shipmentsUnchanged: number;
  /** Articles of these shipments that the file has. */
  readonly articles: number;
  /** Rows by the words for a status that nobody understands: they are kept as they came. */
  readonly unknownStatuses: Readonly<Record<string, number>>;
  /** Rows by fields of NDJSON that nobody has a use for; of CSV files the first line tells. */
  readonly unusedFields: Readonly<Record<string, number>>;
}

const unknownPrefix = 'unknown status: ';
const unusedPrefix = 'unused field: ';
// A file of nonsense has a new word in every row, and counts are written with every batch.
const keptWords = 20;
const others = '(others)';

/** What became of items of a file. */
export interface SettledItems {
  /** By name, as the counts of a run have them. */
  readonly counts: Readonly<Record<string, number>>;
  readonly rejected: readonly RejectedLine[];
  /** Shipments that were made or changed. */
  readonly changed: readonly ShipmentKey[];
}

export interface ShipmentCounter {
  settle(outcomes: readonly ImportOutcome<RejectedLine>[]): SettledItems;
}

/** Remembers only which words it has told by name. */
export function createShipmentCounter(): ShipmentCounter {
  const told = new Map<string, Set<string>>();
  const named = (prefix: string, word: string): string => {
    const words = told.get(prefix) ?? new Set<string>();
    told.set(prefix, words);
    if (!words.has(word) && words.size >= keptWords) return `${prefix}${others}`;
    words.add(word);
    // Counts are stored as jsonb, which has neither NUL nor half a character.
    return `${prefix}${word.slice(0, 100).toWellFormed().replaceAll('\u0000', '\uFFFD')}`;
  };
  return {
    settle(outcomes) {
      const counts: Record<string, number> = {};
      const add = (name: string, by = 1) => {
        counts[name] = (counts[name] ?? 0) + by;
      };
      const rejected: RejectedLine[] = [];
      const changed: ShipmentKey[] = [];
      for (const outcome of outcomes) {
        for (const field of outcome.unused) add(named(unusedPrefix, field));
        for (const line of outcome.rejected) rejected.push(line);
        if (outcome.kind === 'rejected') continue;
        if (outcome.kind !== 'unchanged') changed.push(outcome.key);
        add(`shipments_${outcome.kind}`);
        add('articles', outcome.articles);
        for (const word of outcome.unknownStatuses) add(named(unknownPrefix, word));
      }
      return { counts, rejected, changed };
    },
  };
}

/** What the counts of a run say. */
export const shipmentSummaryOf = (counts: Readonly<Record<string, number>>): ShipmentImportSummary => ({
  rows: counts['rows'] ?? 0,
  rowsRejected: counts['rows_rejected'] ?? 0,
  shipmentsCreated: counts['shipments_created'] ?? 0,
  shipmentsUpdated: counts['shipments_updated'] ?? 0,
  shipmentsUnchanged: counts['shipments_unchanged'] ?? 0,
  articles: counts['articles'] ?? 0,
  unknownStatuses: withPrefix(counts, unknownPrefix),
  unusedFields: withPrefix(counts, unusedPrefix),
});

const withPrefix = (counts: Readonly<Record<string, number>>, prefix: string): Record<string, number> =>
  Object.fromEntries(
    Object.entries(counts)
      .filter(([name]) => name.startsWith(prefix))
      .map(([name, count]) => [name.slice(prefix.length), count]),
  );
