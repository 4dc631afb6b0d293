import { describe, expect, test } from 'vitest';
import { type BulkCsv, partsOfCsv } from './bulk-csv.ts';
import type { BulkPart, BulkRow } from './bulk-parts.ts';

const csv: BulkCsv = {
  description: 'Any columns.',
  documents: (header) => (cells) => Object.fromEntries(header.map((name, index) => [name, cells[index]])),
};
const read = (document: unknown, line: number): BulkRow<unknown> => ({ line, item: document, rejection: null });

async function partsOf(text: string | Buffer, options: { partLines?: number; pieceBytes?: number } = {}) {
  const bytes = Buffer.from(text as string);
  const step = options.pieceBytes ?? bytes.length;
  async function* pieces() {
    for (let at = 0; at < bytes.length; at += step) yield bytes.subarray(at, at + step);
  }
  const parts: BulkPart<unknown>[] = [];
  for await (const part of partsOfCsv(pieces(), csv, { read, partLines: options.partLines ?? 2_000 })) parts.push(part);
  return parts;
}

describe('a CSV body', () => {
  test('becomes documents by its header, each with the line it begins on', async () => {
    const text = '\uFEFFname, quantity \r\n"Paris, France",1\r\n\r\n"two\nlines",2\r\nlast,3';
    const [part] = await partsOf(text);
    expect(part).toEqual([
      { line: 2, item: { name: 'Paris, France', quantity: '1' }, rejection: null },
      { line: 4, item: { name: 'two\nlines', quantity: '2' }, rejection: null },
      { line: 6, item: { name: 'last', quantity: '3' }, rejection: null },
    ]);
    expect((await partsOf(text, { pieceBytes: 1 }))[0]).toEqual(part);
  });

  test('has parts of so many rows, however it arrives', async () => {
    const text = `n\n${Array.from({ length: 25 }, (_, n) => n).join('\n')}\n`;
    for (const pieceBytes of [1, 7, 1_000]) {
      const parts = await partsOf(text, { partLines: 10, pieceBytes });
      expect(parts.map((part) => part.length)).toEqual([10, 10, 5]);
    }
  });

  test('rejects rows that cannot be read and goes on behind them', async () => {
    const parts = await partsOf(Buffer.concat([Buffer.from('a,b\n1\n2,'), Buffer.of(0xff), Buffer.from('\n3,4\n')]));
    expect(parts.flat()).toMatchObject([
      { line: 2, rejection: { code: 'malformed_row', detail: 'The row has 1 cells where the first line has 2.' } },
      { line: 3, rejection: { code: 'not_utf8' } },
      { line: 4, item: { a: '3', b: '4' } },
    ]);
  });

  test.each([
    ['nothing', '', 'the header is missing'],
    ['blank lines', '\n\n', 'the header is missing'],
    ['a header with an open quote', '"a\n', 'the header has a quote that is never closed'],
  ])('is refused as a whole with %s', async (_name, text, detail) => {
    await expect(partsOf(text)).rejects.toMatchObject({
      code: 'invalid_input',
      errors: [{ code: 'invalid_header', detail: expect.stringContaining(detail) }],
    });
  });

  test('with a header alone has no rows', async () => {
    expect(await partsOf('a,b\n')).toEqual([]);
  });
});
