import { z } from 'zod';
import { formatInstant } from '../../core/time.ts';
import { faultOfRange, type HistogramRow, histogramIntervals } from '../../domains/orders/order-histogram.ts';
import type { HistogramRequest } from '../../domains/orders/order-histogram-service.ts';
import { orderStatuses } from '../../domains/orders/order-status.ts';
import type { HttpDeps, Routes } from '../http-types.ts';
import { mayBeTorn } from '../may-be-torn.ts';
import { filterOfHistogram } from '../order-query.ts';
import { choice } from '../query-parameters.ts';
import { answerSchema } from '../validation.ts';

const histogramQuery = z
  .strictObject({
    ...filterOfHistogram,
    interval: choice(histogramIntervals, 'How long an interval is, in UTC; both ends of the range may cut one.'),
  })
  .transform((query, context): HistogramRequest => {
    const { placed_from: placedFrom, placed_to: placedTo, interval = 'day' } = query;
    const fault = faultOfRange(placedFrom, placedTo, interval);
    if (fault !== null) context.addIssue({ code: 'custom', path: ['placed_to'], message: fault });
    return { statuses: query.status ?? [], customerId: query.customer_id ?? null, placedFrom, placedTo, interval };
  });

const moment = (description: string) => z.string().meta({ format: 'date-time', description });

const histogramExample = {
  interval: 'day',
  placed_from: '2026-06-01T00:00:00.000Z',
  placed_to: '2026-07-01T00:00:00.000Z',
  items: [
    { start: '2026-06-01T00:00:00.000Z', status: 'cancelled', currency: 'EUR', orders: 12, total: '83964' },
    { start: '2026-06-01T00:00:00.000Z', status: 'complete', currency: 'EUR', orders: 140, total: '979580' },
    { start: '2026-06-03T00:00:00.000Z', status: 'complete', currency: 'EUR', orders: 1, total: '6997' },
  ],
};

export const histogramRowSchema = z.object({
  start: moment('The beginning of the interval in UTC.'),
  status: z.enum(orderStatuses).meta({ description: 'What the orders have now, not what they had then.' }),
  currency: z.string().meta({ description: 'ISO 4217.' }),
  orders: z.int().meta({ description: 'How many.' }),
  total: z.string().meta({
    pattern: '^\\d+$',
    description: 'The sum of their totals in minor units; text, because a sum may pass 2^53.',
  }),
});

const histogramSchema = z
  .object({
    interval: z.enum(histogramIntervals),
    placed_from: moment('As it was asked for.'),
    placed_to: moment('As it was asked for; exclusive.'),
    items: z.array(histogramRowSchema),
  })
  .meta({
    id: 'OrderHistogram',
    description:
      'By interval, status and currency, in this order. What has no orders has no row: intervals are all of one length, so gaps are easily filled.',
    examples: [histogramExample],
  });

/** Counts and totals over time. */
export function addOrderHistogramRoute(routes: Routes, { app: { orders } }: HttpDeps): void {
  routes.get(
    '/orders/histogram',
    {
      schema: {
        summary: 'Count orders by hour or day',
        description: `Counts and totals of the orders placed in a range, by interval, status and currency. The range is required and may touch 10,000 intervals. Every order of the range is read: a range of many millions may run into the time limit of the server. ${mayBeTorn('several customers, or a salted one,')}`,
        tags: ['orders'],
        querystring: histogramQuery,
        response: { 200: answerSchema(histogramSchema, 'Intervals that have orders, the earliest first.') },
      },
      config: { scope: 'orders:read', problems: ['histogram_too_large'] },
    },
    async (request) => {
      const { interval, placedFrom, placedTo } = request.query;
      const rows = await orders.readHistogram(request.query);
      return {
        interval,
        placed_from: formatInstant(placedFrom),
        placed_to: formatInstant(placedTo),
        items: rows.map(toHistogramDocument),
      };
    },
  );
}

/** A row as the API shows it. */
export const toHistogramDocument = (row: HistogramRow): z.output<typeof histogramRowSchema> => ({
  start: formatInstant(row.start),
  status: row.status,
  currency: row.currency,
  orders: row.orders,
  total: String(row.total),
});
