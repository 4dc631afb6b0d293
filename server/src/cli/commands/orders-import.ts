import { type Command, Option } from 'commander';
import { importPresets } from '../../domains/orders/order-import-presets.ts';
import { describedCommand, does } from '../command.ts';
import type { CliContext } from '../context.ts';
import { collected } from '../import-input.ts';
import { jobExits } from '../job-options.ts';
import { importOrderFile, type OrderImportOptions } from '../orders-import.ts';

const description =
  'Import a file of orders: CSV or NDJSON, plain or gzip (told by content), "-" for standard input. What is stored already is recognised by its order number: sending a file again changes nothing. A file is imported by a job: the same command goes on with one that was stopped or killed, as long as the file is the same, and the counts at the end are those of all of it. Standard input cannot be read twice: it is sent again as a whole.';

const presets = `
Presets:
  default        CSV with the columns order_number (order_id), customer_id, placed_at (timestamp), sku, quantity and
                 unit_price (price, in major units: "25" or "25.00"), where wanted also currency, name, status,
                 status_at and reason. Columns in any order, one row an item, rows of one order anywhere. A rejected
                 row rejects its order: mend the rows in the file of --errors and import that file.
                 --map names columns that are called otherwise: --map "sku=Article,unit_price=Price (EUR)". The fields
                 are ${importPresets.default.fields.slice(0, 6).join(', ')},
                 ${importPresets.default.fields.slice(6).join(', ')}.
                 NDJSON: one order a line, as POST /api/v1/orders/bulk takes it.
  online-retail  the data set of the UCI Machine Learning Repository: one order per InvoiceNo; a number beginning with
                 C was cancelled. A rejected row is left out, its order keeps the others.`;

/** `milliard orders import` */
export const importCommand = (context: CliContext): Command =>
  does<OrderImportOptions>(
    describedCommand('import', {
      description,
      examples: [
        [
          'milliard orders import orders.csv --dry-run',
          'what would happen, and from which columns; nothing is written',
        ],
        [
          'milliard orders import erp.csv --map order_number=Beleg,placed_at=Datum,sku=Artikel --dry-run',
          'a file whose columns have other names',
        ],
        [
          'milliard orders import orders.csv --errors rejected.csv',
          'the good orders are stored, the others written to rejected.csv to be mended and imported',
        ],
        ['milliard orders import online_retail.csv.gz --preset online-retail --json | tail -n 1', 'the counts as JSON'],
        ['zcat orders.ndjson.gz | milliard orders import -', 'from a pipe'],
      ],
      exitCodes: [
        [0, 'every row was stored, was there already, or was rejected on its own and reported'],
        [1, 'failed half-way (the same command goes on), or not one order could be used'],
        [3, 'with --strict: some rows were rejected'],
        ...jobExits,
      ],
      endedBySignal: 'ended by Ctrl-C or SIGTERM while it read standard input or judged a file (--dry-run)',
    })
      .argument('<file>', 'the file, or - for standard input')
      .addOption(
        new Option('--preset <name>', 'what the columns mean').choices(Object.keys(importPresets)).default('default'),
      )
      .option('--map <pairs>', 'field=column,… for columns with other names; with --preset default', collected)
      .option('--dry-run', 'judge everything, show the mapping of columns, write nothing')
      .option('--errors <file>', 'write the rejected rows there, with a column `error`, when all is done')
      .option('--strict', 'exit with 3 when rows were rejected')
      .option('--rate <rows>', 'at most so many rows a second; each row of a CSV file counts twice: read and written')
      .addHelpText('after', presets),
    context,
    (run, options, [path = '']) => importOrderFile(run, options, path),
  );
