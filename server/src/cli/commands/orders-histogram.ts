import type { Command } from 'commander';
import { formatMajorUnits } from '../../core/money.ts';
import { dayMs, formatInstant, type Instant, systemClock } from '../../core/time.ts';
import {
  faultOfRange,
  type HistogramInterval,
  type HistogramRow,
  histogramIntervals,
} from '../../domains/orders/order-histogram.ts';
import { toHistogramDocument } from '../../http/routes/orders-histogram.ts';
import { describedCommand, does } from '../command.ts';
import { type CliContext, withApp } from '../context.ts';
import { readFilter } from '../order-filter.ts';
import { UsageError } from '../stopped.ts';
import { values } from '../values.ts';

interface Options {
  readonly from?: string;
  readonly to?: string;
  readonly interval: string;
  readonly status?: string;
  readonly customer?: string;
}

/** `milliard orders histogram` */
export const histogramCommand = (context: CliContext): Command =>
  does<Options>(
    describedCommand('histogram', {
      description:
        'Orders and their totals by day or hour (UTC), status and currency. What has no orders has no row; both ends of the range may cut an interval.',
      examples: [
        ['milliard orders histogram', 'the past 30 days, day by day'],
        ['milliard orders histogram --interval hour --from 2026-01-31 --to 2026-02-01', 'one day, hour by hour'],
        [
          'milliard orders histogram --status cancelled --customer 17850 --from 2025-01-01 --json',
          'one row a line; totals are texts of minor units',
        ],
      ],
    })
      .option('--from <time>', 'placed at or after this day or instant (30 days before --to, midnight UTC)')
      .option('--to <time>', 'placed before this day or instant (now)')
      .option('--interval <interval>', 'hour or day', 'day')
      .option('--status <list>', 'only these, separated by commas')
      .option('--customer <id>', 'only orders of this customer'),
    context,
    async (run, options) => {
      const { status, customer } = options;
      const flags = { ...(status === undefined ? {} : { status }), ...(customer === undefined ? {} : { customer }) };
      const { statuses, customerId } = readFilter(flags).filter;
      const request = { ...readRange(options, systemClock.now()), statuses, customerId };
      const rows = await withApp(run, 'orders histogram', (app) => app.orders.readHistogram(request));
      for (const row of rows) await run.output.record(toHistogramDocument(row));
      if (run.output.json) return undefined;
      if (rows.length === 0) run.output.say('There are no such orders.');
      else run.output.table(['START', 'STATUS', 'CURRENCY', 'ORDERS', 'TOTAL'], rows.map(toRow(request.interval)));
      return undefined;
    },
  );

interface Range {
  readonly placedFrom: Instant;
  readonly placedTo: Instant;
  readonly interval: HistogramInterval;
}

/** @throws UsageError */
function readRange(options: Options, now: Instant): Range {
  const interval = values.choice('--interval', options.interval, histogramIntervals);
  const placedTo = options.to === undefined ? now : values.instant('--to', options.to);
  const placedFrom =
    options.from === undefined
      ? ((Math.floor(placedTo / dayMs - 30) * dayMs) as Instant)
      : values.instant('--from', options.from);
  if (placedFrom >= placedTo) throw new UsageError('--from must lie before --to.');
  const fault = faultOfRange(placedFrom, placedTo, interval);
  if (fault !== null) throw new UsageError(`--to ${fault}.`);
  return { placedFrom, placedTo, interval };
}

const toRow =
  (interval: HistogramInterval) =>
  ({ start, status, currency, orders, total }: HistogramRow) => [
    formatInstant(start).slice(0, interval === 'day' ? 10 : 16),
    status,
    currency,
    orders,
    formatMajorUnits(total, currency),
  ];
