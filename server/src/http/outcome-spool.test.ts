import { readdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createOutcomeSpool, type OutcomeSpool } from './outcome-spool.ts';

async function readAll(spool: OutcomeSpool): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of spool.read()) chunks.push(chunk);
  return Buffer.concat(chunks).toString('utf8');
}

describe('the spool of outcomes', () => {
  test('gives back everything in order, whether it is read meanwhile or afterwards', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(fc.string({ maxLength: 40 }), fc.boolean()), { maxLength: 40 }),
        fc.boolean(),
        async (texts, readsMeanwhile) => {
          const spool = createOutcomeSpool({ limitBytes: 1_000_000, memoryBytes: 50 });
          const early = readsMeanwhile ? readAll(spool) : null;
          for (const [text, pauses] of texts) {
            await spool.write(text);
            if (pauses) await new Promise((resolve) => setImmediate(resolve));
          }
          spool.end('the end');
          const expected = Buffer.from(`${texts.map(([text]) => text).join('')}the end`).toString('utf8');
          expect(Buffer.from(await (early ?? readAll(spool))).toString('utf8')).toBe(expected);
        },
      ),
      { numRuns: 50 },
    );
  });

  test('refuses what passes its limit on disk, and still tells the last word', async () => {
    const spool = createOutcomeSpool({ limitBytes: 100, memoryBytes: 10 });
    await spool.write('0123456789');
    await spool.write('x'.repeat(100));
    await expect(spool.write('y')).rejects.toMatchObject({ code: 'spool_full' });
    spool.end('last');
    expect(await readAll(spool)).toBe(`0123456789${'x'.repeat(100)}last`);
  });

  test('takes room again for what was read', async () => {
    const spool = createOutcomeSpool({ limitBytes: 100, memoryBytes: 0 });
    const reader = spool.read();
    for (let i = 0; i < 20; i++) {
      await spool.write('z'.repeat(80));
      expect((await reader.next()).value).toHaveLength(80);
    }
    await reader.return(undefined);
  });

  test('leaves no file behind, also while it is in use', async () => {
    const leftOvers = () => readdirSync(tmpdir()).filter((name) => name.startsWith('milliard-spool-'));
    const before = leftOvers();
    const spool = createOutcomeSpool({ limitBytes: 1_000, memoryBytes: 0 });
    await spool.write('on disk');
    expect(leftOvers().filter((name) => !before.includes(name))).toEqual([]);
    spool.end('');
    expect(await readAll(spool)).toBe('on disk');
  });
});
