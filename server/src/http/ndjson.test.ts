import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createLineSplitter } from './ndjson.ts';

type Seen = { readonly number: number; readonly text: string } | { readonly number: number; readonly fault: string };

function split(chunks: readonly Buffer[], maxLineBytes: number): Seen[] {
  const seen: Seen[] = [];
  const splitter = createLineSplitter(
    { line: (text, number) => seen.push({ number, text }), fault: (fault, number) => seen.push({ number, fault }) },
    maxLineBytes,
  );
  for (const chunk of chunks) splitter.push(chunk);
  splitter.end();
  return seen;
}

/** Cuts bytes at the given places. */
function cut(bytes: Buffer, places: readonly number[]): Buffer[] {
  const at = [...new Set(places.map((place) => place % (bytes.length + 1)))].sort((a, b) => a - b);
  return [0, ...at].map((from, i) => bytes.subarray(from, at[i] ?? bytes.length));
}

/** What the splitter must find, the slow and plain way. */
function expected(lines: readonly Buffer[], maxLineBytes: number): Seen[] {
  const last = lines.at(-1);
  const counted = last !== undefined && last.length === 0 ? lines.slice(0, -1) : lines;
  return counted.map((line, i) => {
    if (line.length > maxLineBytes) return { number: i + 1, fault: 'line_too_long' };
    const text = line.toString('utf8');
    return Buffer.from(text).equals(line) ? { number: i + 1, text } : { number: i + 1, fault: 'invalid_utf8' };
  });
}

const anyLine = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.string({ unit: 'grapheme', maxLength: 30 }).map((text) => Buffer.from(text.replaceAll('\n', ' '))),
  },
  {
    weight: 1,
    arbitrary: fc.uint8Array({ maxLength: 30 }).map((bytes) => Buffer.from(bytes.filter((byte) => byte !== 10))),
  },
);

describe('the line splitter', () => {
  test('finds the same lines wherever the chunks are cut, in any text and any bytes', () => {
    fc.assert(
      fc.property(
        fc.array(anyLine, { maxLength: 12 }),
        fc.array(fc.nat(), { maxLength: 12 }),
        fc.integer({ min: 1, max: 40 }),
        (lines, places, max) => {
          const bytes = Buffer.concat(lines.flatMap((line, i) => (i === 0 ? [line] : [Buffer.from('\n'), line])));
          expect(split(cut(bytes, places), max)).toEqual(lines.length === 0 ? [] : expected(lines, max));
        },
      ),
      { numRuns: 500 },
    );
  });

  test('goes on behind a line that is too long, whatever came of it before', () => {
    const long = Buffer.from(`${'x'.repeat(100)}\nshort\n${'y'.repeat(100)}`);
    const want = [
      { number: 1, fault: 'line_too_long' },
      { number: 2, text: 'short' },
      { number: 3, fault: 'line_too_long' },
    ];
    expect(split([long], 10)).toEqual(want);
    expect(
      split(
        [...long].map((byte) => Buffer.of(byte)),
        10,
      ),
    ).toEqual(want);
  });

  test('holds no more than one line, however long the input without a line feed', () => {
    const splitter = createLineSplitter({ line: () => {}, fault: () => {} }, 1024 * 1024);
    const chunk = Buffer.alloc(64 * 1024, 'x');
    const before = process.memoryUsage().arrayBuffers;
    for (let i = 0; i < 4_000; i++) splitter.push(chunk);
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(16 * 1024 * 1024);
  });
});
