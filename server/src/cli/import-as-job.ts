import { resolve } from 'node:path';
import type { App } from '../app.ts';
import { summaryOf } from '../domains/orders/order-import-apply-service.ts';
import { createOrderImportKind } from '../domains/orders/order-import-jobs.ts';
import type { ImportParameters } from '../domains/orders/order-import-parameters.ts';
import { createImportFiles } from '../flows/import-files.ts';
import type { Jobs } from '../jobs/jobs.ts';
import { createJobs } from '../jobs/jobs-service.ts';
import { type Run, stderrLogger, withApp } from './context.ts';
import { endImport, type ImportOptions, readColumnFlags, summarySentence } from './import-input.ts';
import { readThrottle } from './job-options.ts';
import { runJobForOutcome } from './job-outcome.ts';
import { openRejectedFile, requireRejectedFile } from './rejected-file.ts';

const kind = 'orders.import';

/** Imports a file by a job, or goes on with the unfinished job of the same file. @returns the exit code */
export async function importAsJob(run: Run, options: ImportOptions, path: string): Promise<number> {
  const files = createImportFiles();
  const { format, sha256 } = await files.inspect(path);
  const throttle = readThrottle(options.rate === undefined ? {} : { rate: options.rate });
  const parameters: ImportParameters = {
    file: resolve(path),
    sha256,
    preset: options.preset,
    map: Object.fromEntries(readColumnFlags(options, { format, path })),
    errors: options.errors === undefined ? null : resolve(options.errors),
  };
  // It is written when all is done: whoever works at the run until then may be another process.
  if (options.errors !== undefined) await requireRejectedFile(options.errors);
  const { exitCode, done } = await withApp(run, 'orders import', async (app) => {
    const jobs = openJobs(run, app, { files, options });
    await tellOfOtherContent(run, jobs, parameters);
    return runJobForOutcome(run, jobs, {
      kind,
      parameters,
      throttle,
      resumeLine: () => 'the same command again',
      summary: ({ counts }) => summarySentence(summaryOf(counts), false),
      onDone() {},
    });
  });
  return done === null ? exitCode : endImport(run.output, options, summaryOf(done.counts));
}

interface Parts {
  readonly files: ReturnType<typeof createImportFiles>;
  readonly options: ImportOptions;
}

/** The engine with this one kind, which shows its rejected lines here. */
function openJobs({ output }: Run, { db, orders, config }: App, { files, options }: Parts): Jobs {
  const importKind = createOrderImportKind({
    writer: orders.writer,
    defaultCurrency: config.currency,
    files: {
      ...files,
      // The run may have been started with a file for them, by a command before this one.
      openRejected: (path) => openRejectedFile(output, options.errors ?? path),
    },
    onHeader({ unused }) {
      if (unused.length > 0) output.warn(`Columns that are not used: ${unused.join(', ')}`);
    },
  });
  return createJobs({ db, kinds: [importKind], logger: stderrLogger(output) });
}

/** An unfinished run of the same path with other content is another run: it goes on only with the file as it was. */
async function tellOfOtherContent({ output }: Run, jobs: Jobs, { file, sha256 }: ImportParameters): Promise<void> {
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
