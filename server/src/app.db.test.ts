import { describe, expect, test } from 'vitest';
import { openApp } from './app.ts';
import { parseConfig } from './config.ts';
import { silentLogger } from './core/ports.ts';
import { systemClock } from './core/time.ts';
import { listMonths, readyMonths } from './storage/partitions.ts';
import { onCitus } from './testing/on-citus.ts';
import { createTestDatabase } from './testing/test-database.ts';
import { given, withItems } from './testing/test-orders.ts';

const open = (databaseUrl: string) =>
  openApp(parseConfig({}), { databaseUrl, logger: silentLogger, applicationName: 'app test' });

describe('openApp', () => {
  test('makes the months that must stand ready and takes orders', async () => {
    await using database = await createTestDatabase();
    const app = await open(database.url);
    expect(app.server).toMatchObject({
      topology: onCitus ? 'citus' : 'single',
      versionNumber: expect.any(Number),
    });
    expect(await listMonths(app.db)).toEqual(readyMonths(systemClock.now()));
    const { order } = await app.orders.createOrder(given.toWrite());
    expect(withItems(await app.orders.getOrder(order.orderId))).toEqual(withItems(order));
    await app.close();
  });

  test('finishes the writes it took before it lets go of the database', async () => {
    await using database = await createTestDatabase();
    const app = await open(database.url);
    const writes = Array.from({ length: 50 }, () => app.orders.createOrder(given.toWrite()));
    const closed = app.close();
    expect(await Promise.all(writes)).toHaveLength(50);
    await closed;
    await expect(app.orders.createOrder(given.toWrite())).rejects.toMatchObject({ code: 'storage_unavailable' });
  });

  test('says that the schema is missing, and leaves no connection behind', async () => {
    await using database = await createTestDatabase({ migrated: false });
    await expect(open(database.url)).rejects.toMatchObject({
      code: 'schema_mismatch',
      message: expect.stringContaining('milliard migrate'),
    });
  });
});
