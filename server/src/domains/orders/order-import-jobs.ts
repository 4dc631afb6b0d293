import { z } from 'zod';
import type { Currency } from '../../core/money.ts';
import { createImportKind, type ImportKindDeps } from '../../jobs/imports/import-kind.ts';
import { importKey, importParameterFields } from '../../jobs/imports/import-parameters.ts';
import type { ImportCursor, ImportPlan } from '../../jobs/imports/import-plan.ts';
import type { JobKind } from '../../jobs/job.ts';
import { createImportApply } from './order-import-apply-service.ts';
import type { ReadOrder } from './order-import-part.ts';
import { type ImportPresetName, importPresets } from './order-import-presets.ts';
import { orderReading } from './order-import-reading.ts';
import type { OrderWriter } from './order-write-service.ts';

export interface OrderImportDeps extends ImportKindDeps {
  readonly writer: OrderWriter;
  readonly defaultCurrency: Currency;
}

const presetNames = Object.keys(importPresets) as [ImportPresetName, ...ImportPresetName[]];

const importParameters = z.strictObject({
  file: importParameterFields.file,
  sha256: importParameterFields.sha256,
  preset: z.enum(presetNames).default('default').meta({ description: 'What the columns mean.' }),
  map: importParameterFields.map,
  errors: importParameterFields.errors,
});
export type OrderImportParameters = z.output<typeof importParameters>;

/** A file of orders: one row an item in CSV, one order a line in NDJSON. */
export function createOrderImportKind(
  deps: OrderImportDeps,
): JobKind<OrderImportParameters, ImportCursor, ImportPlan<ReadOrder>> {
  const { writer, defaultCurrency } = deps;
  const reading = ({ preset, map, file }: OrderImportParameters) =>
    orderReading({ preset, map: new Map(Object.entries(map)), defaultCurrency }, file);
  return createImportKind(deps, {
    name: 'orders.import',
    title: 'import a file of orders',
    parameters: importParameters,
    tables: ['orders', 'order_statuses', 'order_keys'],
    maxBatchRows: 20_000,
    uniqueKey: (parameters) => importKey(parameters, parameters.preset),
    reading,
    subject: ({ parameters, rehearsal }) => ({
      name: 'order',
      reading: reading(parameters),
      write: createImportApply({ writer, rehearsal }),
    }),
  });
}
