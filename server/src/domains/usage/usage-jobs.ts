import type { Clock } from '../../core/time.ts';
import type { ImportFiles } from '../../jobs/imports/import-files.ts';
import type { JobKind } from '../../jobs/job.ts';
import type { Rollup } from './rollup-service.ts';
import { createUsageGenerateKind } from './usage-generate-jobs.ts';
import { createUsageImportKind } from './usage-import-jobs.ts';
import { createUsagePopulateKind } from './usage-populate-jobs.ts';
import { createUsageRebuildKind } from './usage-rebuild-jobs.ts';
import { createUsageVerifyKind } from './usage-verify-jobs.ts';
import type { UsageWriter } from './usage-writer-service.ts';

export interface UsageKindsDeps {
  readonly usage: { readonly writer: UsageWriter; readonly rollup: Rollup };
  readonly clock: Clock;
  readonly files: ImportFiles;
}

/** The long work about usage. */
export const usageKinds = ({ usage: { writer, rollup }, clock, files }: UsageKindsDeps): readonly JobKind[] => [
  createUsageGenerateKind({ writer, rollup, clock }),
  createUsageImportKind({ writer, files }),
  createUsagePopulateKind({ writer, rollup }),
  createUsageRebuildKind(),
  createUsageVerifyKind(),
];
