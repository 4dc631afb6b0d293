import { z } from 'zod';
import { createImportKind, type ImportKindDeps } from '../../jobs/imports/import-kind.ts';
import { importKey, importParameterFields } from '../../jobs/imports/import-parameters.ts';
import type { ImportCursor, ImportPlan } from '../../jobs/imports/import-plan.ts';
import type { JobKind } from '../../jobs/job.ts';
import { importActor, writeUsage } from './usage-import-file-service.ts';
import { type ReadUsage, usageReading } from './usage-import-reading.ts';
import type { UsageWriter } from './usage-writer-service.ts';

export interface UsageImportKindDeps extends ImportKindDeps {
  readonly writer: UsageWriter;
}

const importParameters = z.strictObject(importParameterFields);
export type UsageImportParameters = z.output<typeof importParameters>;

/** A file of raw usage: one record a row of CSV or line of NDJSON. */
export function createUsageImportKind({
  writer,
  ...deps
}: UsageImportKindDeps): JobKind<UsageImportParameters, ImportCursor, ImportPlan<ReadUsage>> {
  const reading = ({ map }: UsageImportParameters) => usageReading(new Map(Object.entries(map)));
  return createImportKind(deps, {
    name: 'usage.import',
    title: 'import a file of raw usage',
    parameters: importParameters,
    tables: ['usage_records'],
    maxBatchRows: 20_000,
    uniqueKey: (parameters) => importKey(parameters, ''),
    reading,
    subject: ({ parameters }) => ({
      name: 'usage',
      reading: reading(parameters),
      write: (tx, items) => writeUsage(tx, items, { writer, actor: importActor }),
    }),
  });
}
