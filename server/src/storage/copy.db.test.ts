import fc from 'fast-check';
import { expect, test } from 'vitest';
import { isStorableText } from '../core/text.ts';
import { openTestDatabase } from '../testing/open-database.ts';
import { copyChunks } from './copy.ts';
import { dynamic, sql } from './sql.ts';

const { db } = await openTestDatabase();
await db.query(dynamic(sql`create table copied (i int, t text, j jsonb, n bigint)`));

const storable = fc
  .oneof(
    fc.string({ unit: 'binary' }),
    fc.string({ unit: fc.constantFrom('\\', '\t', '\n', '\r', 'N', '.', '"', '\b', '\v', '\f', '\u0001') }),
  )
  .filter(isStorableText);
const rows = fc.array(
  fc.record({
    t: fc.option(storable),
    j: storable,
    n: fc.option(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n })),
  }),
  { minLength: 1, maxLength: 60 },
);

test('what goes through COPY comes back equal: any storable text, null, int8, JSON', async () => {
  await fc.assert(
    fc.asyncProperty(rows, async (list) => {
      const stored = await db.transaction(async (tx) => {
        await tx.run(dynamic(sql`truncate copied`));
        const encoded = copyChunks([...list.entries()], ([i, { t, j, n }]) => [i, t, JSON.stringify({ text: j }), n]);
        expect(await tx.copyIn('copy copied (i, t, j, n) from stdin', encoded)).toBe(list.length);
        return tx.run(
          dynamic<{ t: string | null; j: { text: string }; n: bigint | null }>(
            sql`select t, j, n from copied order by i`,
          ),
        );
      });
      expect(stored).toEqual(list.map(({ t, j, n }) => ({ t, j: { text: j }, n })));
    }),
    { numRuns: 60 },
  );
});

test('and the same values as parameters come back equal too', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(storable, { minLength: 1 }), async (texts) => {
      const [row] = await db.read(dynamic<{ texts: string[] }>(sql`select ${texts}::text[] as texts`));
      expect(row?.texts).toEqual(texts);
    }),
    { numRuns: 60 },
  );
});
