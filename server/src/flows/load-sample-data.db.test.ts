import { expect, test } from 'vitest';
import { openApp } from '../app.ts';
import { parseConfig } from '../config.ts';
import type { OrderId } from '../core/ids.ts';
import { silentLogger } from '../core/ports.ts';
import { createTestDatabase } from '../testing/test-database.ts';
import { inconsistencies } from '../testing/test-orders.ts';
import { loadSampleData } from './load-sample-data.ts';

test('the sample is loaded into an empty database once, and says what to look at', async () => {
  await using database = await createTestDatabase();
  const app = await openApp(parseConfig({}), {
    databaseUrl: database.url,
    logger: silentLogger,
    applicationName: 'sample test',
  });
  try {
    const reported: string[] = [];
    const report = (text: string) => void reported.push(text);
    const loaded = await loadSampleData(app, { report });
    expect(loaded).toMatchObject({ orders: 2_215, cancelled: 382, items: 49_048 });
    const example = await app.orders.getOrder(loaded.exampleOrderId as OrderId);
    expect(example).toMatchObject({ status: 'cancelled', customerId: loaded.exampleCustomerId });
    expect(reported).toEqual([expect.stringContaining('2,215 sample orders')]);

    const again = await loadSampleData(app, { report });
    expect(again).toEqual({ ...loaded, orders: 0, cancelled: 0, items: 0 });
    expect(reported).toHaveLength(1);
    expect(await inconsistencies(app.db)).toEqual([]);
  } finally {
    await app.close();
  }
});
