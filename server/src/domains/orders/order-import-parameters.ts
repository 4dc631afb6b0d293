import { z } from 'zod';
import type { Currency } from '../../core/money.ts';
import type { CsvReading } from './order-import-csv.ts';
import { type ImportPresetName, importPresets } from './order-import-presets.ts';

const presetNames = Object.keys(importPresets) as [ImportPresetName, ...ImportPresetName[]];

const path = z.string().min(1).max(4_096);

export const importParameters = z.strictObject({
  file: path.meta({ description: 'The absolute path of the file.' }),
  sha256: z
    .string()
    .regex(/^[0-9a-f]{64}$/)
    .nullable()
    .default(null)
    .meta({ description: 'Of the file as it stands: a run never goes on with a file that was changed.' }),
  preset: z.enum(presetNames).default('default').meta({ description: 'What the columns mean.' }),
  map: z
    .record(z.string(), z.string())
    .default({})
    .meta({ description: 'Field -> column, for columns with other names.' }),
  errors: path.nullable().default(null).meta({
    description: 'The absolute path of a file for the rejected rows; it is written when the run ends.',
  }),
});
export type ImportParameters = z.output<typeof importParameters>;

export const readingOf = ({ preset, map }: ImportParameters, defaultCurrency: Currency): CsvReading => ({
  preset,
  map: new Map(Object.entries(map)),
  defaultCurrency,
});
