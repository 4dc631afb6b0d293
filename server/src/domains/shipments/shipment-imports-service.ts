import type { Currency } from '../../core/money.ts';
import type { Clock } from '../../core/time.ts';
import type { ImportKindDeps } from '../../jobs/imports/import-kind.ts';
import type { Database } from '../../storage/database.ts';
import type { ShipmentsChanged } from './shipment-change.ts';
import { createShipmentRowWriter, type ShipmentRowWriter } from './shipment-import-bulk-service.ts';
import { createShipmentImportKind } from './shipment-import-jobs.ts';
import { createShipmentImporter, type ShipmentImporter } from './shipment-import-service.ts';
import { createShipmentImportWriter } from './shipment-import-write-service.ts';

export interface ShipmentImportsDeps {
  readonly db: Database;
  readonly clock: Clock;
  readonly defaultCurrency: Currency;
  readonly onChange?: ShipmentsChanged;
}

/** Shipments that come as rows, one an article: in files by a job or at once, and in bulk requests. All by the same rules. */
export interface ShipmentImports extends ShipmentRowWriter, ShipmentImporter {
  /** The kind of the job `shipments.import`. */
  kind(deps: ImportKindDeps): ReturnType<typeof createShipmentImportKind>;
}

export function createShipmentImports(deps: ShipmentImportsDeps): ShipmentImports {
  const { db, clock, defaultCurrency, onChange } = deps;
  const parts = {
    ...{ db, clock, defaultCurrency, writer: createShipmentImportWriter({ clock }) },
    ...(onChange === undefined ? {} : { onChange }),
  };
  return {
    ...createShipmentRowWriter(parts),
    ...createShipmentImporter(parts),
    kind: (files) => createShipmentImportKind({ ...parts, ...files }),
  };
}
