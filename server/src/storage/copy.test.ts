import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type CopyValue, copyChunks, copyField, copyLine } from './copy.ts';

describe('copyField', () => {
  test.each<[CopyValue, string]>([
    [null, '\\N'],
    ['', ''],
    ['NULL', 'NULL'],
    ['\\N', '\\\\N'],
    ['\\.', '\\\\.'],
    ['a\tb', 'a\\tb'],
    ['a\nb\r', 'a\\nb\\r'],
    ['\b\f\v', '\\b\\f\\v'],
    [9_007_199_254_740_993n, '9007199254740993'],
    [-1.5, '-1.5'],
    ['🛒', '🛒'],
  ])('writes %s as %j', (value, text) => {
    expect(copyField(value)).toBe(text);
  });
});

const values = fc.oneof(fc.constant(null), fc.string({ unit: 'binary' }));

describe('copyLine', () => {
  test('holds exactly one line end and one tab less than values, whatever they hold', () => {
    fc.assert(
      fc.property(fc.array(values, { minLength: 1 }), (row) => {
        const line = copyLine(row);
        expect(line.indexOf('\n')).toBe(line.length - 1);
        expect(line.split('\t')).toHaveLength(row.length);
      }),
    );
  });
});

describe('copyChunks', () => {
  test('carries every line once, in order, in chunks that stay near 64 kB', () => {
    const rows = Array.from({ length: 5_000 }, (_, i) => `${i}-${'é'.repeat(i % 90)}`);
    const chunks = [...copyChunks(rows, (row) => [row])];
    expect(Buffer.concat(chunks).toString('utf8')).toBe(rows.map((row) => `${row}\n`).join(''));
    expect(chunks.length).toBeGreaterThan(2);
    for (const chunk of chunks) expect(chunk.length).toBeLessThan(200_000);
  });

  test('of no rows are none', () => {
    expect([...copyChunks([], () => [])]).toEqual([]);
  });

  test('are made only as they are taken', () => {
    let encoded = 0;
    const rows = Array.from({ length: 100_000 }, (_, i) => i);
    const chunks = copyChunks(rows, (row) => {
      encoded++;
      return [row];
    });
    chunks.next();
    expect(encoded).toBeLessThan(rows.length / 2);
  });
});
