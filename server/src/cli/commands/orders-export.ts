import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import type { Command } from 'commander';
import type { Order } from '../../domains/orders/order.ts';
import { toOrderDocument } from '../../http/order-representation.ts';
import { toCsv } from '../../http/routes/orders-export.ts';
import { describedCommand, does } from '../command.ts';
import { type CliContext, type Run, withApp } from '../context.ts';
import { type FilterOptions, readFilter, withFilter } from '../order-filter.ts';
import { UsageError } from '../stopped.ts';
import { values } from '../values.ts';

interface Options extends FilterOptions {
  readonly format: string;
  readonly output?: string;
}

/** `milliard orders export` */
export const exportCommand = (context: CliContext): Command =>
  does<Options>(
    withFilter(
      describedCommand('export', {
        description:
          'Every order the flags select, as NDJSON (one order a line) or CSV (one row an item, amounts in major units), page by page in bounded memory.',
        examples: [
          ['milliard orders export --status cancelled > cancelled.ndjson', 'the documents of the API'],
          ['milliard orders export --format csv --from 2026-01-01 --output orders.csv', 'a spreadsheet of this year'],
        ],
      }),
    )
      .option('--format <format>', 'ndjson or csv', 'ndjson')
      .option('--output <file>', 'write there instead of to standard output'),
    context,
    async (run, options) => {
      const { filter, direction } = readFilter(options);
      const format = values.choice('--format', options.format, ['ndjson', 'csv']);
      if (run.output.json && options.output === undefined && format === 'csv') {
        throw new UsageError('--json and --format csv exclude each other on standard output. Add --output FILE.');
      }
      const target = await openTarget(run, options.output ?? null);
      const progress = run.output.progress({ title: 'exporting' });
      let orders = 0;
      const count = async function* (pages: AsyncIterable<readonly Order[]>) {
        for await (const page of pages) {
          run.signal.throwIfAborted();
          yield page;
          orders += page.length;
          progress.update(orders, null, `${orders.toLocaleString('en')} orders`);
        }
      };
      try {
        await withApp(run, 'orders export', async (app) => {
          const pages = count(app.orders.streamOrders(filter, direction));
          for await (const text of format === 'csv' ? toCsv(pages) : toLines(pages)) await target.write(text);
        });
      } finally {
        progress.stop();
        await target.close();
      }
      if (options.output === undefined) return undefined;
      run.output.say(`${orders.toLocaleString('en')} orders written to ${options.output}.`);
      await run.output.record({ orders, file: options.output });
      return undefined;
    },
  );

async function* toLines(pages: AsyncIterable<readonly Order[]>): AsyncGenerator<string> {
  for await (const page of pages) yield page.map((order) => `${JSON.stringify(toOrderDocument(order))}\n`).join('');
}

interface Target {
  write(text: string): Promise<void>;
  close(): Promise<void>;
}

async function openTarget(run: Run, path: string | null): Promise<Target> {
  if (path === null) return { write: (text) => run.output.write(text), close: async () => {} };
  const file = createWriteStream(path);
  await once(file, 'open').catch((error: NodeJS.ErrnoException) => {
    throw new UsageError(`--output: ${path} cannot be written (${error.code}).`);
  });
  return {
    async write(text) {
      if (!file.write(text)) await once(file, 'drain');
    },
    async close() {
      file.end();
      await once(file, 'close');
    },
  };
}
