import { parse } from 'csv-parse/sync';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { csvRecord, defuse } from './csv.ts';

describe('a CSV cell', () => {
  test.each(['=1+1', '+SUM(A1)', '-2+3', '@cmd', '\tx', '\rx', '=HYPERLINK("http://x")', '-', '+1e5'])(
    'that begins like the formula %j is defused',
    (text) => {
      expect(defuse(text)).toBe(`'${text}`);
    },
  );

  test.each(['-5', '+5', '-5.25', '12', 'a=b', 'plain', '', ' =1'])('like %j stays as it is', (text) => {
    expect(defuse(text)).toBe(text);
  });

  test('that is null is empty, and numbers are not quoted', () => {
    expect(csvRecord([null, 0, -5, 'a'])).toBe(',0,-5,a\r\n');
  });

  test('comes back from a CSV reader as it was, but for the apostrophe of formulas', () => {
    fc.assert(
      fc.property(fc.array(fc.string({ unit: 'grapheme' }), { minLength: 2, maxLength: 5 }), (cells) => {
        const [record] = parse(csvRecord(cells), { record_delimiter: '\r\n' }) as string[][];
        expect(record).toEqual(cells.map(defuse));
      }),
    );
  });

  test('with quotes, commas and line ends is quoted', () => {
    expect(csvRecord(['a"b', 'c,d', 'e\nf'])).toBe('"a""b","c,d","e\nf"\r\n');
  });
});
