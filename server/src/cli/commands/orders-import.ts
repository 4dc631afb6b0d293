import { type Command, Option } from 'commander';
import {
  createOrderImporter,
  type ImportPresetName,
  importPresets,
} from '../../domains/orders/order-import-service.ts';
import type { ImportSummary } from '../../domains/orders/order-import-tally.ts';
import { type InputFile, openInputFile } from '../../flows/input-file.ts';
import { describedCommand, does } from '../command.ts';
import { type CliContext, exitCodes, type Run, withApp } from '../context.ts';
import { openRejectedFile, type RejectedFile } from '../rejected-file.ts';
import { UsageError } from '../stopped.ts';

interface Options {
  readonly preset: ImportPresetName;
  readonly dryRun?: boolean;
  readonly errors?: string;
  readonly strict?: boolean;
}

const description =
  'Import a file of orders: CSV or NDJSON, plain or gzip (told by content), "-" for standard input. What is stored already is recognised by its order number: sending a file again, also after an interruption, changes nothing.';

const presets = `
Presets:
  default        CSV with the columns order_number (order_id), customer_id, placed_at (timestamp), sku, quantity and
                 unit_price (price, in major units: "25" or "25.00"), where wanted also currency, name, status,
                 status_at and reason. Columns in any order, one row an item, rows of one order anywhere. A rejected
                 row rejects its order: mend the rows in the file of --errors and import that file.
                 NDJSON: one order a line, as POST /api/v1/orders/bulk takes it.
  online-retail  the data set of the UCI Machine Learning Repository: one order per InvoiceNo; a number beginning with
                 C was cancelled. A rejected row is left out, its order keeps the others.`;

/** `milliard orders import` */
export const importCommand = (context: CliContext): Command =>
  does<Options>(
    describedCommand('import', {
      description,
      examples: [
        ['milliard orders import orders.csv --dry-run', 'what would happen; nothing is written'],
        [
          'milliard orders import orders.csv --errors rejected.csv',
          'the good orders are stored, the others written to rejected.csv to be mended and imported',
        ],
        ['milliard orders import online_retail.csv.gz --preset online-retail --json | tail -n 1', 'the counts as JSON'],
        ['zcat orders.ndjson.gz | milliard orders import -', 'from a pipe'],
      ],
      exitCodes: [
        [0, 'every row was stored, was there already, or was rejected on its own and reported'],
        [1, 'failed half-way (send the file again), or not one order could be used'],
        [3, 'with --strict: some rows were rejected'],
      ],
    })
      .argument('<file>', 'the file, or - for standard input')
      .addOption(
        new Option('--preset <name>', 'what the columns mean').choices(Object.keys(importPresets)).default('default'),
      )
      .option('--dry-run', 'judge everything, write nothing')
      .option('--errors <file>', 'write the rejected rows there, with a column `error`')
      .option('--strict', 'exit with 3 when rows were rejected')
      .addHelpText('after', presets),
    context,
    runImport,
  );

async function runImport(run: Run, options: Options, [path = '']: readonly string[]): Promise<number> {
  const file = await openInputFile(path, run.context.stdin);
  try {
    if (file.format === 'ndjson' && options.preset !== 'default') {
      throw new UsageError(`--preset ${options.preset} reads CSV, and ${path} is NDJSON. Leave the preset out.`);
    }
    const rejected = await openRejectedFile(run.output, options.errors ?? null);
    try {
      const summary = await withApp(run, 'orders import', (app) =>
        importFile(run, options, {
          file,
          rejected,
          importer: createOrderImporter({
            db: app.db,
            writer: app.orders.writer,
            defaultCurrency: app.config.currency,
          }),
        }),
      );
      await report(run, options, summary);
      return exitCodeOf(summary, options);
    } finally {
      await rejected.close();
    }
  } finally {
    await file.close();
  }
}

interface Parts {
  readonly file: InputFile;
  readonly rejected: RejectedFile;
  readonly importer: ReturnType<typeof createOrderImporter>;
}

async function importFile(
  { output, signal }: Run,
  { preset, dryRun = false }: Options,
  parts: Parts,
): Promise<ImportSummary> {
  const { file, rejected, importer } = parts;
  const bars = {
    reading: output.progress({ title: 'reading' }),
    writing: output.progress({ title: dryRun ? 'judging' : 'writing' }),
  };
  let phase: keyof typeof bars = 'reading';
  try {
    return await importer.importOrders({
      chunks: file.chunks,
      format: file.format,
      preset,
      dryRun,
      signal,
      onHeader: ({ unused }) => {
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
  } finally {
    bars[phase].stop();
  }
}

async function report({ output }: Run, { dryRun = false, errors }: Options, summary: ImportSummary): Promise<void> {
  const count = (value: number) => value.toLocaleString('en');
  output.say(
    `${count(summary.rows)} rows: ${count(summary.ordersCreated)} orders ${dryRun ? 'would be created' : 'created'}, ` +
      `${count(summary.ordersReplayed)} there already, ${count(summary.ordersRejected)} rejected; ${count(summary.items)} items, ` +
      `${count(summary.statusesAdded)} statuses added to orders that were there.`,
  );
  if (summary.rowsRejected > 0) {
    const where = errors === undefined ? '--errors FILE keeps them' : `they stand in ${errors}`;
    output.warn(`${count(summary.rowsRejected)} rows were rejected; ${where}.`);
  }
  await output.record({
    rows: summary.rows,
    rows_rejected: summary.rowsRejected,
    orders_created: summary.ordersCreated,
    orders_replayed: summary.ordersReplayed,
    orders_rejected: summary.ordersRejected,
    items: summary.items,
  });
}

function exitCodeOf(summary: ImportSummary, { strict = false }: Options): number {
  if (summary.rowsRejected > 0 && strict) return exitCodes.rejected;
  const isUseless = summary.rows > 0 && summary.ordersCreated + summary.ordersReplayed === 0;
  return isUseless ? exitCodes.failed : exitCodes.done;
}
