import fc from 'fast-check';
import { expect, test } from 'vitest';
import { copyLine } from './copy.ts';
import { copiedRows } from './copy-out.ts';

test('rows come back as they were encoded, however the bytes are cut', async () => {
  const field = fc.oneof(
    fc.constant(null),
    fc.string({ unit: 'grapheme' }),
    fc.string({ unit: fc.constantFrom('\\', '\n', '\t', '\r', 'N', 'n') }),
  );
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.tuple(field, field), { minLength: 1 }),
      fc.integer({ min: 1, max: 9 }),
      async (rows, size) => {
        const bytes = Buffer.from(rows.map(copyLine).join(''));
        const chunks = Array.from({ length: Math.ceil(bytes.length / size) }, (_, i) =>
          bytes.subarray(i * size, (i + 1) * size),
        );
        const found: (string | null)[][] = [];
        for await (const group of copiedRows(chunks)) found.push(...group);
        expect(found).toEqual(rows);
      },
    ),
  );
});
