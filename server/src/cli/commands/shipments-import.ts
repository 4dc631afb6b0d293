import type { Command } from 'commander';
import { describedCommand, does } from '../command.ts';
import type { CliContext } from '../context.ts';
import { collected } from '../import-input.ts';
import { jobExits } from '../job-options.ts';
import { importShipmentFile, type ShipmentImportOptions } from '../shipments-import.ts';

const description =
  'Import a file of shipments: CSV or NDJSON, plain or gzip (told by content), "-" for standard input. One row an article; rows with the same carrier and tracking number are one shipment, wherever they stand. Sending a file again changes nothing; a changed one updates what it says differently. A file is imported by a job: the same command goes on with one that was stopped or killed, as long as the file is the same, and the counts at the end are those of all of it.';

const columns = `
Columns of a CSV file, in any order and whatever the case of letters (NDJSON has the same fields):
  tracking_number, carrier; where wanted sender_address, receiver_address, article_name, article_quantity, article_price
  (in major units: "800" or "800.00"), sku, status (any carrier's word), status_at, order_id, expected_on, currency.
  --map names columns that are called otherwise: --map "article_name=Product,article_price=Price (EUR)".
  An empty cell says nothing. A bad row is left out alone; mend it in the file of --errors and import that file.
  A status becomes an event when the last file said another one; words that nobody understands are kept and told.`;

/** `milliard shipments import` */
export const importCommand = (context: CliContext): Command =>
  does<ShipmentImportOptions>(
    describedCommand('import', {
      description,
      examples: [
        ['milliard shipments import seed_data.csv', 'a file of shipments'],
        ['milliard shipments import seed_data.csv --dry-run', 'what would happen, and from which columns'],
        [
          'milliard shipments import erp.csv --map article_name=Product --currency USD --errors rejected.csv',
          'other names of columns, prices in dollars, bad rows into rejected.csv to be mended and imported',
        ],
        [
          'zcat shipments.ndjson.gz | milliard shipments import - --json | tail -n 1',
          'from a pipe; the counts as JSON',
        ],
      ],
      exitCodes: [
        [0, 'every row was stored, was there already, or was rejected on its own and reported'],
        [1, 'failed half-way (the same command goes on), or not one row could be used'],
        [3, 'with --strict: some rows were rejected'],
        ...jobExits,
      ],
      endedBySignal: 'ended by Ctrl-C or SIGTERM while it read standard input or judged a file (--dry-run)',
    })
      .argument('<file>', 'the file, or - for standard input')
      .option('--map <pairs>', 'field=column,… for columns with other names', collected)
      .option('--currency <code>', 'of rows that name none (MILLIARD_CURRENCY)')
      .option('--dry-run', 'judge everything, show the mapping of columns, write nothing')
      .option('--errors <file>', 'write the rejected rows there, with a column `error`, when all is done')
      .option('--strict', 'exit with 3 when rows were rejected')
      .option('--rate <rows>', 'at most so many rows a second; each row counts twice: read and written')
      .addHelpText('after', columns),
    context,
    (run, options, [path = '']) => importShipmentFile(run, options, path),
  );
