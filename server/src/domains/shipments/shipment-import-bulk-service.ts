import type { RowFault } from '../../core/import-line.ts';
import type { Currency } from '../../core/money.ts';
import type { Database } from '../../storage/database.ts';
import { type ShipmentsChanged, tellChange } from './shipment-change.ts';
import { type ImportCandidate, type ImportOutcome, mergeRows } from './shipment-import-merge.ts';
import type { ShipmentRow } from './shipment-import-row.ts';
import type { ShipmentImportWriter } from './shipment-import-write-service.ts';
import { keyText } from './tracking-key.ts';

/** What became of one row: what its shipment did, or why the row was left out. */
export type RowOutcome =
  | { readonly kind: 'created' | 'updated' | 'unchanged' }
  | { readonly kind: 'rejected'; readonly fault: RowFault };

export interface WriteRowsOptions {
  /** Of rows that name none. */
  readonly defaultCurrency: Currency;
  /** Who recorded the statuses. */
  readonly actor: string;
}

/** Writes rows as imports do: one row an article, those of one shipment together. */
export interface ShipmentRowWriter {
  /** All rows in one transaction; outcomes in their order. */
  writeRows(rows: readonly ShipmentRow[], options: WriteRowsOptions): Promise<RowOutcome[]>;
}

export interface ShipmentRowWriterDeps {
  readonly db: Database;
  readonly writer: ShipmentImportWriter;
  readonly onChange?: ShipmentsChanged;
}

export const createShipmentRowWriter = ({ db, writer, onChange }: ShipmentRowWriterDeps): ShipmentRowWriter => ({
  async writeRows(rows, { defaultCurrency, actor }) {
    const groups = new Map<string, ShipmentRow[]>();
    for (const row of rows) {
      const key = keyText(row.key);
      const group = groups.get(key);
      if (group === undefined) groups.set(key, [row]);
      else group.push(row);
    }
    const candidates = [...groups.values()].map((group) => candidateOf(group, defaultCurrency));
    const written = await db.transaction((tx) => writer.writeIn(tx, candidates, actor), { idempotent: true });
    await tellChange(
      onChange,
      written.filter(({ kind }) => kind === 'created' || kind === 'updated').map(({ key }) => key),
    );
    return outcomesOf(rows, written);
  },
});

interface RejectedRow {
  readonly row: ShipmentRow;
  readonly fault: RowFault;
}

function candidateOf(rows: readonly ShipmentRow[], defaultCurrency: Currency): ImportCandidate<RejectedRow> {
  const [first] = rows;
  if (first === undefined) throw new RangeError('A shipment has rows.');
  return {
    key: first.key,
    judge: (stored) => ({ ...mergeRows(rows, { defaultCurrency, stored }), unused: [] }),
    refuse: (fault) => rows.map((row) => ({ row, fault })),
  };
}

function outcomesOf(rows: readonly ShipmentRow[], written: readonly ImportOutcome<RejectedRow>[]): RowOutcome[] {
  const kinds = new Map(written.map(({ key, kind }) => [keyText(key), kind]));
  const faults = new Map(written.flatMap(({ rejected }) => rejected.map(({ row, fault }) => [row, fault] as const)));
  return rows.map((row) => {
    const fault = faults.get(row);
    if (fault !== undefined) return { kind: 'rejected', fault };
    const kind = kinds.get(keyText(row.key));
    if (kind === undefined || kind === 'rejected') throw new RangeError('Every row has an outcome.');
    return { kind };
  });
}
