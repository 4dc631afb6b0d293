import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type Bucket, bucketOf } from '../core/bucket.ts';
import { bucketOfId, newOrderId } from '../core/ids.ts';
import { isStorableText } from '../core/text.ts';
import type { Instant } from '../core/time.ts';
import { openTestDatabase } from '../testing/open-database.ts';
import { dynamic, sql } from './sql.ts';

const { db } = await openTestDatabase();

test('bucket_of in SQL is bucketOf, on any Unicode', async () => {
  const texts = fc.array(fc.string({ unit: 'binary', maxLength: 60 }).filter(isStorableText), {
    minLength: 1,
    maxLength: 300,
  });
  await fc.assert(
    fc.asyncProperty(texts, async (list) => {
      const rows = await db.query(
        dynamic<{ bucket: number }>(
          sql`select bucket_of(t) as bucket from unnest(${list}::text[]) with ordinality as u (t, i) order by i`,
        ),
      );
      expect(rows.map(({ bucket }) => bucket)).toEqual(list.map(bucketOf));
    }),
    { numRuns: 40 },
  );
});

test('bucket_of_id in SQL is bucketOfId, and order ids sort in SQL as they do here', async () => {
  const ids = fc.array(
    fc
      .tuple(fc.integer({ min: 0, max: 2 ** 48 - 1 }), fc.integer({ min: 0, max: 4095 }))
      .map(([at, bucket]) => newOrderId(at as Instant, bucket as Bucket)),
    { minLength: 1, maxLength: 300 },
  );
  await fc.assert(
    fc.asyncProperty(ids, async (list) => {
      const rows = await db.query(
        dynamic<{ id: string; bucket: number }>(
          sql`select id::text, bucket_of_id(id) as bucket from unnest(${list}::uuid[]) as u (id) order by id`,
        ),
      );
      expect(rows).toEqual([...list].sort().map((id) => ({ id, bucket: bucketOfId(id) })));
    }),
    { numRuns: 40 },
  );
});

test('both say null of null and lie in 0..4095', async () => {
  const [row] = await db.query(
    dynamic(
      sql`select bucket_of(null) as a, bucket_of_id(null) as b, (select count(*) from generate_series(1, 20000) g where bucket_of(g::text) not between 0 and 4095) as outside`,
    ),
  );
  expect(row).toEqual({ a: null, b: null, outside: 0n });
});
