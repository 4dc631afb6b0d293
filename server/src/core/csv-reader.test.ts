import { parse } from 'csv-parse/sync';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type CsvRow, createCsvReader, maxCsvRowChars } from './csv-reader.ts';

function read(...pieces: readonly string[]): CsvRow[] {
  const reader = createCsvReader();
  return [...pieces.flatMap((piece) => reader.push(piece)), ...reader.end()];
}

const cellsOf = (rows: readonly CsvRow[]) => rows.map(({ cells }) => cells);
const faultsOf = (rows: readonly CsvRow[]) =>
  rows.flatMap(({ line, fault }) => (fault === null ? [] : [[line, fault.code]]));

test('quotes hold commas, doubled quotes and line breaks', () => {
  const rows = read('a,b\n"x, y","say ""hi"""\r\n"two\nlines",z\nlast,row');
  expect(cellsOf(rows)).toEqual([
    ['a', 'b'],
    ['x, y', 'say "hi"'],
    ['two\nlines', 'z'],
    ['last', 'row'],
  ]);
  expect(rows.map(({ line }) => line)).toEqual([1, 2, 3, 5]);
});

test('a quote that is never closed costs its line only', () => {
  const rows = read('a,b\n1,"open\n2,two\n3,"three"\n');
  expect(faultsOf(rows)).toEqual([[2, 'malformed_row']]);
  expect(cellsOf(rows).slice(2)).toEqual([
    ['2', 'two'],
    ['3', 'three'],
  ]);
});

test('two stray quotes do not swallow the lines between them', () => {
  const rows = read('a,b,c,d,e\n1,"open,c,d,e\n2,two,c,d,e\n3,three",c,d,e\n4,four,c,d,e\n');
  expect(faultsOf(rows)).toEqual([
    [2, 'malformed_row'],
    [4, 'malformed_row'],
  ]);
  expect(cellsOf(rows).map(([first]) => first)).toEqual(['a', '1', '2', '3', '4']);
});

test('a stray quote whose partner would end a row of the wrong width costs its line only', () => {
  const rows = read('a,b\n1,"open\n2,two\nthree",3,3\n4,four\n');
  expect(faultsOf(rows)).toEqual([
    [2, 'malformed_row'],
    [4, 'malformed_row'],
  ]);
});

test('a quote within an unquoted cell costs its line only, and what can be told of it is kept', () => {
  const rows = read('a,b\n1,7" record\n2,two\n');
  expect(rows[1]).toMatchObject({ line: 2, cells: ['1', '7" record'], fault: { code: 'malformed_row' } });
  expect(rows[2]).toMatchObject({ line: 3, cells: ['2', 'two'], fault: null });
});

test('too few or too many cells, damaged bytes and endless rows are faults of their line', () => {
  const rows = read(`a,b\n1\n1,2,3\n\uFFFD,x\n${'y'.repeat(maxCsvRowChars + 1)}\nz,z\n`);
  expect(faultsOf(rows)).toEqual([
    [2, 'malformed_row'],
    [3, 'malformed_row'],
    [4, 'not_utf8'],
    [5, 'row_too_long'],
  ]);
  expect(cellsOf(rows).at(-1)).toEqual(['z', 'z']);
});

test('an endless row that arrives in pieces is not kept in memory and is one fault', () => {
  const rows = read('a,b\n', ...Array.from({ length: 100 }, () => 'y'.repeat(10_000)), '\nz,z\n');
  expect(faultsOf(rows)).toEqual([[2, 'row_too_long']]);
  expect(rows.at(-1)).toMatchObject({ line: 3, cells: ['z', 'z'] });
});

test('blank lines are no rows but count as lines', () => {
  expect(read('a,b\n\n  \n1,2\n').map(({ line }) => line)).toEqual([1, 4]);
});

const anyCell = fc.oneof(
  fc.string({ unit: 'grapheme', maxLength: 8 }),
  fc.string({ unit: fc.constantFrom(',', '"', '\n', 'a', ' '), maxLength: 6 }),
);
// U+FFFD stands for bytes that were no UTF-8: a row that holds it is rejected (text-lines.ts).
const wholeCell = anyCell.filter((cell) => !cell.includes('\uFFFD'));
const table = fc.array(fc.tuple(wholeCell, wholeCell, wholeCell), { minLength: 1, maxLength: 12 });
const encode = (rows: readonly (readonly string[])[]) =>
  rows.map((row) => row.map((cell) => `"${cell.replaceAll('"', '""')}"`).join(',')).join('\r\n');

test('reads what another parser reads, however the text is cut', () => {
  fc.assert(
    fc.property(table, fc.nat({ max: 40 }), (rows, size) => {
      const text = encode([['a', 'b', 'c'], ...rows]);
      const pieces = Array.from({ length: Math.ceil(text.length / (size + 1)) }, (_, i) =>
        text.slice(i * (size + 1), (i + 1) * (size + 1)),
      );
      const found = read(...pieces);
      expect(cellsOf(found)).toEqual(parse(text));
      expect(faultsOf(found)).toEqual([]);
    }),
    { numRuns: 300 },
  );
});

test('whatever the text, every line is part of a row, a fault or blank, and the next good line is read', () => {
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom(',', '"', 'a', '\r', ' '), maxLength: 30 }), (noise) => {
      const rows = read(`a,b\n${noise}\n1,2\n`);
      expect(cellsOf(rows).at(-1)).toEqual(['1', '2']);
    }),
    { numRuns: 500 },
  );
});
