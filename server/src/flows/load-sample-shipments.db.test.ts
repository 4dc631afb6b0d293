import { expect, test } from 'vitest';
import { openTestShipments, shipmentKey } from '../testing/test-shipments.ts';
import { loadSampleShipments } from './load-sample-shipments.ts';

const { shipments, clock } = await openTestShipments();
const filter = {
  ...{ trackingKey: null, carrierKey: null, statuses: [], cityKey: null, country: null, orderId: null },
  ...{ needsAttention: null, updatedFrom: null, updatedTo: null },
};
const page = { direction: 'newest', limit: 500, after: null } as const;

test('sample shipments are loaded once, by two servers at once too, and never beside those of somebody', async () => {
  const reported: string[] = [];
  const load = () => loadSampleShipments({ shipments, clock }, { report: (text) => void reported.push(text) });
  await Promise.all([load(), load()]);
  expect(reported).toEqual([expect.stringMatching(/^loaded 205 sample shipments with \d+ articles$/)]);
  await load();
  expect(reported).toHaveLength(1);

  const { items } = await shipments.listShipments({ filter, ...page });
  expect(items).toHaveLength(205);
  expect(items.every(({ version }) => version === 1)).toBe(true);
  const statuses = new Set(items.map(({ status }) => status));
  for (const status of ['pre_transit', 'in_transit', 'out_for_delivery', 'delivered', 'exception'] as const)
    expect(statuses).toContain(status);
  const needsAttention = { silentMs: 5 * 86_400_000 };
  const attention = await shipments.listShipments({ filter: { ...filter, needsAttention }, ...page });
  expect(attention.items.length).toBeGreaterThan(3);
  expect(attention.items.length).toBeLessThan(100);
  const { articles, status, currency } = await shipments.getShipment(shipmentKey('DHL', 'TN12345678'));
  expect({ status, currency, articles: articles.map(({ sku, unitPrice }) => [sku, unitPrice]) }).toEqual({
    status: 'in_transit',
    currency: 'EUR',
    articles: [
      ['LP123', 80_000],
      ['MO456', 2_500],
    ],
  });
});
