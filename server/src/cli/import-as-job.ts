import { resolve } from 'node:path';
import type { App } from '../app.ts';
import { createImportFiles } from '../flows/import-files.ts';
import type { FileFacts } from '../jobs/imports/import-files.ts';
import type { ImportKindDeps } from '../jobs/imports/import-kind.ts';
import type { ImportParameters } from '../jobs/imports/import-parameters.ts';
import type { JobKind } from '../jobs/job.ts';
import type { Jobs } from '../jobs/jobs.ts';
import { createJobs } from '../jobs/jobs-service.ts';
import { type Run, stderrLogger, withApp } from './context.ts';
import { type ImportFlags, warnOfUnused } from './import-input.ts';
import { readThrottle } from './job-options.ts';
import { runJobForOutcome } from './job-outcome.ts';
import { openRejectedFile, requireRejectedFile } from './rejected-file.ts';
import { keepHeapSteady } from './steady-heap.ts';

/** An import of one subject, as a job. */
export interface ImportJob<Parameters extends ImportParameters> {
  /** `orders.import` */
  readonly kind: string;
  /** `orders import` */
  readonly purpose: string;
  /** What its kind takes beside the file. @throws UsageError */
  parameters(facts: FileFacts): Omit<Parameters, 'file' | 'sha256' | 'errors'>;
  createKind(app: App, deps: ImportKindDeps): unknown;
  /** What came out of it, for a person. */
  sentence(counts: Readonly<Record<string, number>>): string;
}

export interface ImportJobOutcome {
  readonly exitCode: number;
  /** Of all processes that worked at it; null when it is not done. */
  readonly counts: Readonly<Record<string, number>> | null;
}

/** Imports a file by a job, or goes on with the unfinished job of the same file. */
export async function importAsJob<Parameters extends ImportParameters>(
  run: Run,
  { path, ...options }: ImportFlags & { readonly path: string },
  job: ImportJob<Parameters>,
): Promise<ImportJobOutcome> {
  keepHeapSteady();
  const files = createImportFiles();
  const facts = await files.inspect(path);
  const throttle = readThrottle(options.rate === undefined ? {} : { rate: options.rate });
  const parameters: ImportParameters = {
    ...(job.parameters(facts) as Pick<ImportParameters, 'map'>),
    file: resolve(path),
    sha256: facts.sha256,
    errors: options.errors === undefined ? null : resolve(options.errors),
  };
  // It is written when all is done: whoever works at the run until then may be another process.
  if (options.errors !== undefined) await requireRejectedFile(options.errors);
  const { exitCode, done } = await withApp(run, job.purpose, async (app) => {
    const jobs = createJobs({
      db: app.db,
      // The engine with this one kind, which shows its rejected lines here.
      kinds: [job.createKind(app, importDeps(run, files, options)) as JobKind],
      logger: stderrLogger(run.output),
    });
    await tellOfOtherContent(run, jobs, { kind: job.kind, parameters });
    return runJobForOutcome(run, jobs, {
      kind: job.kind,
      parameters,
      throttle,
      resumeLine: () => 'the same command again',
      summary: ({ counts }) => job.sentence(counts),
      onDone() {},
    });
  });
  return { exitCode, counts: done?.counts ?? null };
}

const importDeps = (
  { output }: Run,
  files: ReturnType<typeof createImportFiles>,
  { errors }: ImportFlags,
): ImportKindDeps => ({
  files: {
    ...files,
    // The run may have been started with a file for them, by a command before this one.
    openRejected: (path) => openRejectedFile(output, errors ?? path),
  },
  onHeader: (header) => warnOfUnused(output, header),
});

/** An unfinished run of the same path with other content is another run: it goes on only with the file as it was. */
async function tellOfOtherContent(
  { output }: Run,
  jobs: Jobs,
  { kind, parameters: { file, sha256 } }: { readonly kind: string; readonly parameters: ImportParameters },
): Promise<void> {
  const unfinished = await jobs.list({
    states: ['queued', 'running', 'paused', 'failed'],
    kind,
    limit: 100,
    after: null,
  });
  for (const { runId, state, parameters } of unfinished) {
    const other = parameters as unknown as ImportParameters;
    if (other.file === file && other.sha256 !== sha256)
      output.note(
        `${file} has changed since the run ${runId} (${state}) was started: this is another run. End that one: milliard jobs cancel ${runId}`,
      );
  }
}
