import type { FileHeader } from '../domains/orders/order-import-csv.ts';
import { createOrderImporter, type OrderImporter } from '../domains/orders/order-import-service.ts';
import type { ImportSummary } from '../domains/orders/order-import-tally.ts';
import { type InputFile, openInputFile } from '../flows/input-file.ts';
import { type Run, withApp } from './context.ts';
import { endImport, type ImportOptions, readColumnFlags, summarySentence } from './import-input.ts';
import { openRejectedFile } from './rejected-file.ts';

/** Imports what can be read only once, a pipe, or judges a file without writing: no job, nothing to go on with. @returns the exit code */
export async function importDirectly(run: Run, options: ImportOptions, path: string): Promise<number> {
  const { output } = run;
  const file = await openInputFile(path, run.context.stdin);
  try {
    const map = readColumnFlags(options, { format: file.format, path });
    const rejected = await openRejectedFile(output, options.errors ?? null);
    try {
      const { summary, mapping } = await withApp(run, 'orders import', (app) =>
        importFile(run, options, {
          file,
          map,
          rejected,
          importer: createOrderImporter({
            db: app.db,
            writer: app.orders.writer,
            defaultCurrency: app.config.currency,
          }),
        }),
      );
      if (options.dryRun === true && mapping !== null) await showMapping(run, mapping);
      output.say(summarySentence(summary, options.dryRun === true));
      return await endImport(output, options, summary);
    } finally {
      await rejected.close();
    }
  } finally {
    await file.close();
  }
}

interface Parts {
  readonly file: InputFile;
  readonly map: ReturnType<typeof readColumnFlags>;
  readonly rejected: Awaited<ReturnType<typeof openRejectedFile>>;
  readonly importer: OrderImporter;
}

interface Imported {
  readonly summary: ImportSummary;
  /** Null where the file has no columns. */
  readonly mapping: FileHeader['mapping'] | null;
}

async function importFile(
  { output, signal }: Run,
  { preset, dryRun = false }: ImportOptions,
  parts: Parts,
): Promise<Imported> {
  const { file, map, rejected, importer } = parts;
  const bars = {
    reading: output.progress({ title: 'reading' }),
    writing: output.progress({ title: dryRun ? 'judging' : 'writing' }),
  };
  let phase: keyof typeof bars = 'reading';
  let mapping: FileHeader['mapping'] | null = null;
  try {
    const summary = await importer.importOrders({
      chunks: file.chunks,
      format: file.format,
      preset,
      map,
      dryRun,
      signal,
      onHeader({ unused, mapping: found }) {
        mapping = found;
        if (unused.length > 0) output.warn(`Columns that are not used: ${unused.join(', ')}`);
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
        bars.writing.update(done, total, `${progress.orders.toLocaleString('en')} orders`);
      },
      onRejected: (line) => rejected.add(line),
    });
    return { summary, mapping };
  } finally {
    bars[phase].stop();
  }
}

/** From which columns the fields of an order were read. */
async function showMapping({ output }: Run, mapping: FileHeader['mapping']): Promise<void> {
  await output.record({ mapping });
  if (output.json) return;
  const rows = Object.entries(mapping).map(([field, column]) => [field, column ?? '(none)']);
  output.table(['FIELD', 'COLUMN'], rows);
}
