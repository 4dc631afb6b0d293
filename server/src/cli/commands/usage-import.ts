import type { Command } from 'commander';
import { describedCommand, does } from '../command.ts';
import type { CliContext } from '../context.ts';
import { collected, type ImportFlags } from '../import-input.ts';
import { jobExits } from '../job-options.ts';
import { importUsageFrom } from '../usage-import.ts';

const description =
  'Import a file of raw usage: CSV with the columns record_id, subscription_id, usage_type, used_at, used and price in any order, or NDJSON as POST /api/v1/usage/records/bulk takes it; plain or gzip (told by content), "-" for standard input. Records that are there already are recognised: sending a file again changes nothing. A file is imported by a job: the same command goes on with one that was stopped or killed, as long as the file is the same.';

/** `milliard usage import` */
export const usageImportCommand = (context: CliContext): Command =>
  does<ImportFlags>(
    describedCommand('import', {
      description,
      examples: [
        ['milliard usage import usage.csv.gz', 'a packed file'],
        ['milliard usage import usage.csv --errors rejected.csv', 'the good rows are stored, the others can be mended'],
        [
          'milliard usage import usage.csv --map used=Kilobytes,price=Amount --dry-run',
          'columns with other names; nothing is written',
        ],
        ['zcat usage.ndjson.gz | milliard usage import - --json | tail -n 1', 'from a pipe; the counts as JSON'],
      ],
      exitCodes: [
        [0, 'every row was stored, was there already, or was rejected on its own and reported'],
        [1, 'failed half-way (the same command goes on), or not one record could be used'],
        [3, 'with --strict: some rows were rejected'],
        ...jobExits,
      ],
      endedBySignal: 'ended by Ctrl-C or SIGTERM while it read standard input or judged a file (--dry-run)',
    })
      .argument('<file>', 'the file, or - for standard input')
      .option('--map <pairs>', 'field=column,… for columns of CSV with other names', collected)
      .option('--dry-run', 'judge everything, write nothing')
      .option('--errors <file>', 'write the rejected rows there, with a column `error`, when all is done')
      .option('--strict', 'exit with 3 when rows were rejected')
      .option('--rate <rows>', 'at most so many rows a second'),
    context,
    (run, options, [path = '']) => importUsageFrom(run, options, path),
  );
