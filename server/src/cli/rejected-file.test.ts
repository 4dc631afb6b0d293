import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { createCsvReader } from '../core/csv-reader.ts';
import type { LineSource } from '../core/import-line.ts';
import type { Output } from './output.ts';
import { openRejectedFile } from './rejected-file.ts';

const folder = await mkdtemp(join(tmpdir(), 'milliard-rejected-'));
afterAll(() => rm(folder, { recursive: true }));

async function written(...sources: LineSource[]): Promise<string> {
  const warned: string[] = [];
  const output = { json: false, warn: (text: string) => void warned.push(text) } as unknown as Output;
  const path = join(folder, 'rejected');
  const file = await openRejectedFile(output, path);
  for (const [i, source] of sources.entries())
    await file.add({ line: i + 2, source, code: 'price_negative', detail: 'is "-1"' });
  await file.close();
  expect(warned).toHaveLength(Math.min(sources.length, 11));
  return readFile(path, 'utf8');
}

const rowsOf = (text: string) => {
  const reader = createCsvReader();
  return [...reader.push(text), ...reader.end()].map(({ cells }) => cells);
};
const csv = (cells: string[], header = ['sku', 'name']): LineSource => ({ kind: 'csv', header, cells });

test('rows keep their columns and get what is wrong about them', async () => {
  expect(rowsOf(await written(csv(['A', 'x, "y"\nz']), csv(['B'])))).toEqual([
    ['sku', 'name', 'error', 'line'],
    ['A', 'x, "y"\nz', 'price_negative: is "-1"', '2'],
    ['B', '', 'price_negative: is "-1"', '3'],
  ]);
});

test('a broken row with too many cells loses none of them', async () => {
  expect(rowsOf(await written(csv(['A', 'b', 'c'])))[1]?.slice(0, 2)).toEqual(['A', 'b,c']);
});

test('a file that was mended in part and failed again has its own columns once', async () => {
  const again = csv(['A', 'old: error', 'x', '7'], ['sku', 'error', 'name', 'line']);
  expect(rowsOf(await written(again))).toEqual([
    ['sku', 'name', 'error', 'line'],
    ['A', 'x', 'price_negative: is "-1"', '2'],
  ]);
});

test('NDJSON keeps its documents, and text that is none', async () => {
  const text = await written({ kind: 'ndjson', text: '{"a": 1, "line": 9}' }, { kind: 'ndjson', text: '{broken' });
  const error = 'price_negative: is "-1"';
  expect(
    text
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line)),
  ).toEqual([
    { a: 1, error, line: 2 },
    { error, line: 3, text: '{broken' },
  ]);
});

test('a person is shown the first ten', async () => {
  await written(...Array.from({ length: 30 }, () => csv(['A', 'b'])));
});
