import type { App } from '../app.ts';
import type { RejectedLine } from '../core/import-line.ts';
import type { FileHeader } from '../core/import-reading.ts';
import { type InputFile, openInputFile } from '../flows/input-file.ts';
import { type Run, withApp } from './context.ts';
import { type ImportFlags, warnOfUnused } from './import-input.ts';
import { openRejectedFile } from './rejected-file.ts';

/** How far an import is. */
export type DirectProgress =
  | { readonly phase: 'reading'; readonly rows: number }
  /** `totalRows`: null while the file is still being read. `text`: what was written so far. */
  | { readonly phase: 'writing'; readonly rows: number; readonly totalRows: number | null; readonly text: string };

/** What an importer is given and tells. */
export interface DirectRequest {
  readonly chunks: AsyncIterable<Uint8Array>;
  readonly format: InputFile['format'];
  readonly dryRun: boolean;
  readonly signal: AbortSignal;
  readonly onHeader: (header: FileHeader) => void;
  readonly onProgress: (progress: DirectProgress) => void;
  readonly onRejected: (line: RejectedLine) => Promise<void>;
}

/** An import of one subject without a job. */
export interface DirectImport<Flags, Summary> {
  /** `orders import` */
  readonly purpose: string;
  /** Judges the flags by the format of the file, before any work. @throws UsageError */
  flags(format: InputFile['format']): Flags;
  importFile(app: App, request: DirectRequest, flags: Flags): Promise<Summary>;
  sentence(summary: Summary): string;
  /** @returns the exit code */
  end(summary: Summary): Promise<number>;
}

/** Imports what can be read only once, a pipe, or judges a file without writing: no job, nothing to go on with. @returns the exit code */
export async function importDirectly<Flags, Summary>(
  run: Run,
  { path, errors, dryRun = false }: ImportFlags & { readonly path: string },
  subject: DirectImport<Flags, Summary>,
): Promise<number> {
  const { output } = run;
  const file = await openInputFile(path, run.context.stdin);
  try {
    const flags = subject.flags(file.format);
    const rejected = await openRejectedFile(output, errors ?? null);
    try {
      const { summary, mapping } = await withApp(run, subject.purpose, (app) =>
        withBars(run, { file, dryRun }, (request) =>
          subject.importFile(app, { ...request, onRejected: (line) => rejected.add(line) }, flags),
        ),
      );
      if (dryRun && mapping !== null) await showMapping(run, mapping);
      output.say(subject.sentence(summary));
      return await subject.end(summary);
    } finally {
      await rejected.close();
    }
  } finally {
    await file.close();
  }
}

interface Imported<Summary> {
  readonly summary: Summary;
  /** Null where the file has no columns. */
  readonly mapping: FileHeader['mapping'] | null;
}

async function withBars<Summary>(
  { output, signal }: Run,
  { file, dryRun }: { readonly file: InputFile; readonly dryRun: boolean },
  work: (request: Omit<DirectRequest, 'onRejected'>) => Promise<Summary>,
): Promise<Imported<Summary>> {
  const bars = {
    reading: output.progress({ title: 'reading' }),
    writing: output.progress({ title: dryRun ? 'judging' : 'writing' }),
  };
  let phase: keyof typeof bars = 'reading';
  let mapping: FileHeader['mapping'] | null = null;
  try {
    const summary = await work({
      chunks: file.chunks,
      format: file.format,
      dryRun,
      signal,
      onHeader(header) {
        mapping = header.mapping;
        warnOfUnused(output, header);
      },
      onProgress(progress) {
        if (progress.phase !== phase) bars[phase].stop();
        phase = progress.phase;
        if (progress.phase === 'reading') {
          bars.reading.update(file.bytesRead(), file.totalBytes, `${progress.rows.toLocaleString('en')} rows`);
          return;
        }
        const [done, total] =
          progress.totalRows === null ? [file.bytesRead(), file.totalBytes] : [progress.rows, progress.totalRows];
        bars.writing.update(done, total, progress.text);
      },
    });
    return { summary, mapping };
  } finally {
    bars[phase].stop();
  }
}

/** From which columns the fields were read. */
async function showMapping({ output }: Run, mapping: FileHeader['mapping']): Promise<void> {
  await output.record({ mapping });
  if (output.json) return;
  const rows = Object.entries(mapping).map(([field, column]) => [field, column ?? '(none)']);
  output.table(['FIELD', 'COLUMN'], rows);
}
