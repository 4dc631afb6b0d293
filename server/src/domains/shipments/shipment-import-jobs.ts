import { z } from 'zod';
import { type Currency, parseCurrency } from '../../core/money.ts';
import type { Clock } from '../../core/time.ts';
import { createImportKind, type ImportKindDeps } from '../../jobs/imports/import-kind.ts';
import { importKey, importParameterFields } from '../../jobs/imports/import-parameters.ts';
import type { ImportCursor, ImportPlan } from '../../jobs/imports/import-plan.ts';
import type { WrittenItems } from '../../jobs/imports/import-work.ts';
import type { JobKind } from '../../jobs/job.ts';
import type { Transaction } from '../../storage/transaction.ts';
import { type ShipmentsChanged, tellChange } from './shipment-change.ts';
import { type ReadShipment, shipmentReading } from './shipment-import-reading.ts';
import { createShipmentCounter } from './shipment-import-tally.ts';
import { importActor, type ShipmentImportWriter } from './shipment-import-write-service.ts';
import type { ShipmentKey } from './tracking-key.ts';

export interface ShipmentImportDeps extends ImportKindDeps {
  readonly writer: ShipmentImportWriter;
  readonly clock: Clock;
  readonly defaultCurrency: Currency;
  /** Told when a batch was committed, or may have been. */
  readonly onChange?: ShipmentsChanged;
}

const importParameters = z.strictObject({
  ...importParameterFields,
  currency: z
    .string()
    .refine((code) => parseCurrency(code) !== null, { error: 'must be an ISO 4217 currency code, e.g. EUR' })
    .nullable()
    .default(null)
    .meta({ description: 'Of rows that name none; null = MILLIARD_CURRENCY.' }),
});
export type ShipmentImportParameters = z.output<typeof importParameters>;

/** A file of shipments: one row an article. */
export function createShipmentImportKind(
  deps: ShipmentImportDeps,
): JobKind<ShipmentImportParameters, ImportCursor, ImportPlan<ReadShipment>> {
  const { clock, defaultCurrency } = deps;
  const reading = ({ map, currency }: ShipmentImportParameters) =>
    shipmentReading({
      map: new Map(Object.entries(map)),
      defaultCurrency: currency === null ? defaultCurrency : (currency as Currency),
      clock,
    });
  return createImportKind(deps, {
    name: 'shipments.import',
    title: 'import a file of shipments',
    parameters: importParameters,
    tables: ['shipments', 'shipment_articles', 'shipment_events'],
    // Measured at 200,000 rows: batches of 4,000 take 30 MB more at the peak and no less time, of 1,000 a fifth more time.
    maxBatchRows: 2_000,
    uniqueKey: (parameters) => importKey(parameters, parameters.currency ?? ''),
    reading,
    subject: ({ parameters, rehearsal }) => ({
      name: 'shipment',
      reading: reading(parameters),
      ...writing(deps, rehearsal),
    }),
  });
}

/** How one process writes the batches of a run. */
function writing({ writer, onChange }: ShipmentImportDeps, rehearsal: boolean) {
  const counter = createShipmentCounter();
  let changed: readonly ShipmentKey[] = [];
  return {
    async write(tx: Transaction, items: readonly ReadShipment[]): Promise<WrittenItems> {
      const settled = counter.settle(await writer.writeIn(tx, items, importActor));
      changed = settled.changed;
      return settled;
    },
    async settled() {
      const keys = changed;
      changed = [];
      if (!rehearsal) await tellChange(onChange, keys);
    },
  };
}
