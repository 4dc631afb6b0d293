import { afterAll, describe, expect, test } from 'vitest';
import { parseDay } from '../../core/days.ts';
import type { Instant } from '../../core/time.ts';
import { batchIndexOf } from '../../storage/day-partitions.ts';
import { onCitus } from '../../testing/on-citus.ts';
import { testDatabase } from '../../testing/test-database.ts';
import { openUsageWorld, upload } from '../../testing/usage-world.ts';
import { addToSums, claimBatches } from './usage-rollup-queries.ts';

const { url } = await testDatabase();
const now = Date.parse('2026-11-21T12:00:00.000Z') as Instant;
const world = await openUsageWorld(url, now, 10);
const { usage, db } = world;
afterAll(() => world.close());

const day = parseDay('2026-11-20');
if (day === null) throw new Error('no day');

const send = (name: string, rows: number) => {
  const line = (row: number) =>
    `{"record_id":"${name}${row}","subscription_id":"S${row % 2_000}","usage_type":"data","used_at":"2026-11-20T10:00:00Z","used":1,"price":"0.01"}\n`;
  const bytes = Buffer.from(Array.from({ length: rows }, (_, row) => line(row)).join(''));
  return upload(usage, bytes, { format: 'ndjson', producerKey: null, partLines: 20_000 });
};

// Citus plans on each node: there the statement has another form.
describe.skipIf(onCitus)('a day of which autovacuum knows nothing yet', () => {
  test('is not read whole for each rollup once it has many records', async () => {
    for (const name of ['a', 'b', 'c']) {
      await send(name, 40_000);
      await usage.rollup.once();
    }
    await send('last', 10);
    const plan = await db.transaction(async (tx) => {
      const batches = await tx.run(claimBatches(10));
      const [statement] = addToSums(
        { batchIds: batches.map(({ batchId }) => batchId), days: [day, day] },
        'records',
        false,
      );
      if (statement === undefined) throw new Error('nothing is summed');
      return tx.run<{ 'QUERY PLAN': string }>({ ...statement, text: `explain ${statement.text}` });
    });
    const text = plan.map((line) => line['QUERY PLAN']).join('\n');
    expect(text).toContain(`Bitmap Index Scan on ${batchIndexOf(day)}`);
    expect(text).not.toContain('Seq Scan on usage_records');
  });
});
