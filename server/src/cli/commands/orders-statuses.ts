import type { Command } from 'commander';
import { importStatuses, type StatusImportSummary } from '../../domains/orders/order-status-import-service.ts';
import { type InputFile, openInputFile } from '../../flows/input-file.ts';
import { describedCommand, does } from '../command.ts';
import { type CliContext, exitCodes, type Run, withApp } from '../context.ts';
import { openRejectedFile, type RejectedFile } from '../rejected-file.ts';

interface Options {
  readonly errors?: string;
  readonly strict?: boolean;
}

const description =
  'Record the statuses in a file: CSV or NDJSON, plain or gzip (told by content), "-" for standard input. Lines are judged one after another as by the API; a line that was recorded before is recognised, so sending a file again changes nothing.';

const columns = `
Columns of a CSV file, in any order (NDJSON has the same fields):
  order_id, or customer_id and order_number; status (pending, complete, cancelled, failed); where wanted occurred_at
  (status_at; now without), reason (required to cancel a complete order) and event_key.`;

/** `milliard orders statuses` */
export const statusesCommand = (context: CliContext): Command =>
  does<Options>(
    describedCommand('statuses', {
      description,
      examples: [
        [
          'milliard orders statuses paid.csv --errors rejected.csv',
          'what was rejected is written to rejected.csv to be mended',
        ],
        ['zcat statuses.ndjson.gz | milliard orders statuses -', 'from a pipe'],
      ],
      exitCodes: [
        [0, 'every line was recorded, was there already, or was rejected on its own and reported'],
        [1, 'failed half-way (send the file again), or not one line could be used'],
        [3, 'with --strict: some lines were rejected'],
      ],
    })
      .argument('<file>', 'the file, or - for standard input')
      .option('--errors <file>', 'write the rejected lines there, with a column `error`')
      .option('--strict', 'exit with 3 when lines were rejected')
      .addHelpText('after', columns),
    context,
    async (run, options, [path = '']) => {
      const file = await openInputFile(path, run.context.stdin);
      try {
        const rejected = await openRejectedFile(run.output, options.errors ?? null);
        try {
          const summary = await recordFile(run, file, rejected);
          await report(run, options, summary);
          return exitCodeOf(summary, options);
        } finally {
          await rejected.close();
        }
      } finally {
        await file.close();
      }
    },
  );

async function recordFile(run: Run, file: InputFile, rejected: RejectedFile): Promise<StatusImportSummary> {
  const bar = run.output.progress({ title: 'recording' });
  try {
    return await withApp(run, 'orders statuses', ({ orders }) =>
      importStatuses({
        chunks: file.chunks,
        format: file.format,
        signal: run.signal,
        record: (reports) => orders.recordReports(reports),
        onProgress: (rows) => bar.update(file.bytesRead(), file.totalBytes, `${rows.toLocaleString('en')} rows`),
        onRejected: (line) => rejected.add(line),
      }),
    );
  } finally {
    bar.stop();
  }
}

async function report({ output }: Run, { errors }: Options, summary: StatusImportSummary): Promise<void> {
  const count = (value: number) => value.toLocaleString('en');
  output.say(
    `${count(summary.rows)} rows: ${count(summary.recorded)} recorded, ${count(summary.late)} late, ${count(summary.unchanged)} ` +
      `unchanged, ${count(summary.replayed)} there already, ${count(summary.rejected)} rejected.`,
  );
  if (summary.rejected > 0) {
    const where = errors === undefined ? '--errors FILE keeps them' : `they stand in ${errors}`;
    output.warn(`${count(summary.rejected)} rows were rejected; ${where}.`);
  }
  await output.record(summary);
}

function exitCodeOf({ rows, rejected }: StatusImportSummary, { strict = false }: Options): number {
  if (rejected > 0 && strict) return exitCodes.rejected;
  return rows > 0 && rejected === rows ? exitCodes.failed : exitCodes.done;
}
