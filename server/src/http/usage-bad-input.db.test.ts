import { isUtf8 } from 'node:buffer';
import { Readable } from 'node:stream';
import fc from 'fast-check';
import { afterAll, describe, expect, test } from 'vitest';
import { formatInstant, type Instant } from '../core/time.ts';
import { dynamic, sql } from '../storage/sql.ts';
import { createTestClient } from '../testing/open-database.ts';
import { openTestApi } from '../testing/test-api.ts';

const runs = process.env['MILLIARD_TEST_FAULTS'] === 'full' ? 3_000 : 120;
const { app, server, databaseUrl, rowCounts } = await openTestApi();
const db = createTestClient(databaseUrl);
afterAll(() => db.close());

const yesterday = formatInstant((Date.now() - 86_400_000) as Instant);
const columns = ['record_id', 'subscription_id', 'usage_type', 'used_at', 'used', 'price'] as const;
const good = {
  record_id: 'bad-1',
  subscription_id: 'BAD',
  usage_type: 'data',
  used_at: yesterday,
  used: 7,
  price: '0.25',
};

type Body = Buffer | Readable | string | { readonly payload: Buffer | Readable | string; readonly key: string | null };

const inject = async (path: string, type: string, body: Body) => {
  const { payload, key } = typeof body === 'object' && 'payload' in body ? body : { payload: body, key: null };
  const answer = await server.fastify.inject({
    method: 'POST',
    url: `/api/v1/usage/${path}`,
    headers: { 'content-type': type, ...(key === null ? {} : { 'idempotency-key': key }) },
    payload,
  });
  return { status: answer.statusCode, text: answer.body };
};

interface Outcome {
  readonly accepted: number;
  readonly duplicates: number;
  readonly rejected_rows: number;
}
interface Part extends Outcome {
  readonly first_line: number;
  readonly lines: number;
  readonly rejected: readonly { readonly line: number; readonly code: string; readonly detail: string }[];
}

async function bulk(type: string, body: Body): Promise<{ parts: Part[]; summary: Outcome }> {
  const { status, text } = await inject('records/bulk', type, body);
  expect(status, text).toBe(200);
  const lines = text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  const { summary } = lines.pop();
  return { parts: lines, summary };
}

// JSON text of a field's value: some of them no JSON.parse would give back as they were written.
const badPrices = [
  ...['"NaN"', '"Infinity"', '"-Infinity"', '"1e3"', '"1E-2"', '"-1"', '"-0"', '"+1"', '"0.1234567"', '"1.0000000"'],
  ...['" 1"', '"1 "', '"1\\t"', '"1,5"', '"1.2.3"', '".5"', '"5."', '""', '"0x10"', '"1_000"', '"1000000000000"'],
  ...['"١٢"', '"１２"', '"1\\u00a0"', '"1\\u0000"', '"\\ud800"', '"½"', '"null"', '"0.25€"', '"--1"', '"1n"'],
  ...['1', '0.25', '1e3', '-1', 'null', 'true', '[]', '["0.25"]', '{}', '{"value":"0.25"}'],
];
const badUsed = [
  ...['-1', '-0.5', '0.5', '1e-1', '1e400', '9007199254740992', '9007199254740993', '1e16', 'null', 'true', '[]', '{}'],
  ...['"-1"', '"+1"', '"1.0"', '"1e3"', '" 1"', '"1 "', '"NaN"', '"Infinity"', '""', '"١٢"', '"１２"', '"0x1F"'],
  ...['"9223372036854775808"', '"99999999999999999999"', '"1\\u0000"', '"1_0"', '"1,000"', '"1n"'],
];
const badTexts = ['7', '1e3', 'null', 'true', '""', '[]', '["S"]', '{}', '"a\\u0000b"', '"\\ud800"', '"\\udc00x"'];
const badInstants = [
  ...['7', '1764000000000', 'null', '""', '"2026-02-30T00:00:00Z"', '"2026-11-20"', '"2026-11-20T10:00:00"'],
  ...['"20261120T100000Z"', '"2026-11-20T24:00:00Z"', '"2026-11-20T10:60:00Z"'],
  ...['"NaN"', '"Infinity"', '"now"', '"-infinity"', '"+12026-11-20T10:00:00Z"', '"2026-11-20T10:00:00+25:00"'],
  ...['"2026-11-20T10:00:00.Z"', '"٢٠٢٦-11-20T10:00:00Z"', '" 2026-11-20T10:00:00Z"', '"2026-11-20T10:00:00Z "'],
];
const cases: readonly (readonly [(typeof columns)[number], string])[] = [
  ...badPrices.map((value) => ['price', value] as const),
  ...badUsed.map((value) => ['used', value] as const),
  ...['record_id', 'subscription_id', 'usage_type'].flatMap((field) =>
    [...badTexts, `"${'x'.repeat(201)}"`].map((value) => [field as 'record_id', value] as const),
  ),
  ...badInstants.map((value) => ['used_at', value] as const),
];
const textWith = (field: string, value: string): string =>
  `{${columns.map((column) => `"${column}":${column === field ? value : JSON.stringify(good[column])}`).join(',')}}`;

/** The same as a row of CSV, when it is one of text. */
function csvWith(field: string, value: string): string | null {
  if (!value.startsWith('"') && !/^-?[\d.]+(e-?\d+)?$/.test(value)) return null;
  const text = value.startsWith('"') ? (JSON.parse(value) as string) : value;
  if (!text.isWellFormed() || text.includes('\n')) return null;
  return columns.map((column) => (column === field ? text : String(good[column]))).join(',');
}

describe('a record that may not be taken', () => {
  test.each(cases)('with %s %s is refused alone, and nothing is stored', async (field, value) => {
    const before = await rowCounts();
    const { status, text } = await inject('records', 'application/json', textWith(field, value));
    expect([400, 422]).toContain(status);
    const { errors, detail } = JSON.parse(text) as { errors?: { detail: string }[]; detail: string };
    // It says where.
    const told = [detail, ...(errors ?? []).map((fault) => fault.detail)].join(' ');
    expect(told).toMatch(field === 'usage_type' && status === 422 ? /is no usage type/ : new RegExp(`/${field}: `));
    expect(await rowCounts()).toEqual(before);
  });

  test('is refused by its line in an array, in NDJSON and in CSV, and the others are stored', async () => {
    const lines = cases.map(([field, value]) => textWith(field, value));
    const fine = (n: string) => JSON.stringify({ ...good, record_id: n });
    const array = await inject('records', 'application/json', `[${fine('a')},${lines.join(',')},${fine('b')}]`);
    expect(array.status, array.text).toBe(201);
    const outcome = JSON.parse(array.text) as Part;
    expect(outcome).toMatchObject({ accepted: 2, duplicates: 0, rejected_rows: lines.length });
    expect(outcome.rejected.map(({ line }) => line)).toEqual(lines.map((_, i) => i + 2));

    const ndjson = await bulk('application/x-ndjson', `${[fine('c'), ...lines, fine('d')].join('\n')}\n`);
    expect(ndjson.summary).toMatchObject({ accepted: 2, duplicates: 0, rejected_rows: lines.length });

    const inCsv = cases.flatMap(([field, value]) => {
      const text = csvWith(field, value);
      return text === null ? [] : [{ field, value, text }];
    });
    const rows = inCsv.map(({ text }) => text);
    // There a number is text like any other, and none is too long to be exact.
    const taken = inCsv.filter(
      ({ field, value }) =>
        (field === 'price' && /^[\d.]+$/.test(value)) ||
        (field === 'used' && /^\d+$/.test(value)) ||
        ((field === 'record_id' || field === 'subscription_id') && /^\d/.test(value)),
    );
    const row = (n: string) => columns.map((column) => (column === 'record_id' ? n : good[column])).join(',');
    const csv = await bulk('text/csv', `${[columns.join(','), row('e'), ...rows, row('f')].join('\n')}\n`);
    const wrong = csv.parts.flatMap(({ rejected }) => rejected);
    expect(new Set(wrong.map(({ code }) => code))).toEqual(
      new Set(['invalid_input', 'malformed_row', 'unknown_usage_type']),
    );
    expect(csv.summary.rejected_rows).toBe(rows.length - taken.length);
    for (const { code, detail } of [...outcome.rejected, ...wrong]) {
      expect(code).toMatch(/^[a-z_]+$/);
      expect(detail.length).toBeGreaterThan(10);
    }
  });

  test('may have names that the database cannot hold: its refusal can be told and told again', async () => {
    const names = ['a\\u0000b', '\\ud800', '\\udc00\\u0000', `${'y'.repeat(260)}${'\u{1f600}'.repeat(40)}`];
    const lines = names.map((key) => `{"${key}":1,${JSON.stringify(good).slice(1)}`);
    const body = `${[...lines, JSON.stringify({ ...good, record_id: 'beside' })].join('\n')}\n`;
    const expected = { accepted: 1, duplicates: 0, rejected_rows: names.length };
    const first = await bulk('application/x-ndjson', { payload: body, key: 'odd-names' });
    expect(first.summary).toMatchObject(expected);
    const again = await bulk('application/x-ndjson', { payload: body, key: 'odd-names' });
    expect(again.parts).toEqual(first.parts.map((part) => ({ ...part, replayed: true })));
    for (const _ of [1, 2]) {
      const { status, text } = await inject('records', 'application/json', {
        payload: `[${lines.join(',')}]`,
        key: 'odd-array',
      });
      expect([status, JSON.parse(text)]).toEqual([
        201,
        expect.objectContaining({ accepted: 0, rejected_rows: names.length }),
      ]);
    }
  });

  test('a cell keeps the blanks at the ends of its line, quoted or not', async () => {
    const of = (cells: Record<string, string>, quoted: boolean) =>
      columns
        .map((column) => (quoted && column === 'usage_type' ? '"data"' : (cells[column] ?? good[column])))
        .join(',');
    const send = (cells: Record<string, string>) =>
      bulk('text/csv', [columns.join(','), of(cells, false), of(cells, true), ''].join('\r\n'));
    // One record told in two ways: the second is a duplicate of the first.
    expect((await send({ record_id: ' blank', subscription_id: 'BLANK' })).summary).toMatchObject({
      accepted: 1,
      duplicates: 1,
    });
    expect((await send({ record_id: 'late', price: '0.25 ' })).summary).toMatchObject({
      accepted: 0,
      rejected_rows: 2,
    });
    const stored = await db.query(
      dynamic<{ id: string }>(sql`select record_id as id from usage_records where subscription_id = 'BLANK'`),
    );
    expect(stored).toEqual([{ id: ' blank' }]);
  });
});

const mutation = fc.record({
  at: fc.nat(),
  bytes: fc.oneof(
    fc.uint8Array({ maxLength: 4 }),
    fc
      .constantFrom(
        '\n',
        '\r\n',
        ',',
        '"',
        '{',
        '}',
        '[',
        ']',
        ':',
        '\\',
        '\0',
        '-',
        '+',
        '.',
        'e',
        '١',
        '\u2028',
        ' ',
        '\ufeff',
      )
      .map((text) => new Uint8Array(Buffer.from(text))),
    fc
      .constantFrom('\\ud800', '\\u0000', 'NaN', '1e3', '-1', 'null', '"x":1,', '99999999999999999999', '\xa0')
      .map((text) => new Uint8Array(Buffer.from(text))),
  ),
  removed: fc.nat({ max: 6 }),
});
interface Mutation {
  readonly at: number;
  readonly bytes: Uint8Array;
  readonly removed: number;
}
const mutations = fc.array(mutation, { maxLength: 6 });

function mutated(text: string, changes: readonly Mutation[]): Buffer {
  let bytes = Buffer.from(text);
  for (const { at, bytes: put, removed } of changes) {
    const place = at % (bytes.length + 1);
    bytes = Buffer.concat([bytes.subarray(0, place), put, bytes.subarray(place + removed)]);
  }
  return bytes;
}

/** Cut into chunks, so that lines are told over their borders. */
const inChunks = (bytes: Buffer, size: number): Readable =>
  Readable.from(
    Array.from({ length: Math.ceil(bytes.length / size) }, (_, i) => bytes.subarray(i * size, (i + 1) * size)),
  );

/** Lines that are something, as the documentation has it: blank ones are none. */
function linesOf(bytes: Buffer): { all: number; told: number } {
  const lines: Buffer[] = [];
  for (let from = 0; from < bytes.length; ) {
    const feed = bytes.indexOf(10, from);
    const end = feed < 0 ? bytes.length : feed;
    lines.push(bytes.subarray(from, end));
    from = end + 1;
  }
  return {
    all: lines.length,
    told: lines.filter((line) => !isUtf8(line) || line.toString('utf8').trim() !== '').length,
  };
}

let name = 0;
let stored = 0;
const some = (n: number) => ({
  ...good,
  record_id: `f${name++}`,
  subscription_id: `F${n % 7}`,
  used: n,
  price: `${n}.01`,
});
const storedRows = async (): Promise<number> => (await rowCounts())['usage_records'] ?? 0;

describe('whatever bytes come', () => {
  test('as records or an array: never a 500, and every record has an outcome', async () => {
    stored = await storedRows();
    const seen = new Map<number, number>();
    const property = fc.asyncProperty(fc.nat({ max: 4 }), mutations, async (rows, changes) => {
      const documents = Array.from({ length: Math.max(1, rows) }, (_, i) => some(i));
      const bytes = mutated(JSON.stringify(rows === 0 ? documents[0] : documents), changes);
      const { status, text } = await inject('records', 'application/json', {
        payload: bytes,
        key: rows % 2 === 0 ? null : `fuzz-${name++}`,
      });
      seen.set(status, (seen.get(status) ?? 0) + 1);
      expect([201, 400, 422], text).toContain(status);
      const answer = JSON.parse(text) as Part & { code?: string; detail?: string };
      if (status !== 201)
        return void expect(answer).toMatchObject({ code: expect.any(String), detail: expect.any(String) });
      const parsed: unknown = JSON.parse(bytes.toString('utf8').replace(/^\ufeff/, ''));
      const count = Array.isArray(parsed) ? parsed.length : 1;
      expect(answer.accepted + answer.duplicates + answer.rejected_rows).toBe(count);
      stored += answer.accepted;
    });
    await fc.assert(property, { numRuns: runs, endOnFailure: true });
    expect(await storedRows()).toBe(stored);
    // The bytes were neither all good nor all bad.
    expect(seen.get(201)).toBeGreaterThan(0);
    expect(seen.get(400)).toBeGreaterThan(0);
  }, 600_000);

  test.each(['ndjson', 'csv'] as const)(
    'as %s: never a 500, and the outcomes are as many as the lines',
    async (format) => {
      stored = await storedRows();
      const sums = { accepted: 0, rejected: 0 };
      const property = fc.asyncProperty(
        fc.nat({ max: 6 }),
        mutations,
        fc.integer({ min: 1, max: 200 }),
        async (rows, changes, size) => {
          const documents = Array.from({ length: rows }, (_, i) => some(i));
          const text = documents
            .map((one) => (format === 'ndjson' ? JSON.stringify(one) : columns.map((column) => one[column]).join(',')))
            .join('\n');
          const header = format === 'csv' ? `${columns.join(',')}\n` : '';
          const bytes = mutated(text, changes);
          const body = Buffer.concat([Buffer.from(header), bytes]);
          const type = format === 'csv' ? 'text/csv' : 'application/x-ndjson';
          const { parts, summary } = await bulk(type, {
            payload: inChunks(body, size),
            key: size % 2 === 0 ? null : `fuzz-${name++}`,
          });
          // A mark at the beginning of an upload belongs to no line.
          const isMarked = header === '' && bytes.subarray(0, 3).equals(Buffer.from('\ufeff'));
          const lines = linesOf(isMarked ? bytes.subarray(3) : bytes);
          expect(summary.accepted + summary.duplicates + summary.rejected_rows).toBe(lines.told);
          expect(parts.reduce((sum, part) => sum + part.lines, 0)).toBe(lines.all + (header === '' ? 0 : 1));
          const rejected = parts.flatMap((part) => part.rejected);
          expect(rejected).toHaveLength(summary.rejected_rows);
          expect(rejected.map(({ line }) => line)).toEqual(
            [...new Set(rejected.map(({ line }) => line))].sort((a, b) => a - b),
          );
          for (const { code, detail } of rejected) expect(code.length * detail.length).toBeGreaterThan(0);
          stored += summary.accepted;
          sums.accepted += summary.accepted;
          sums.rejected += summary.rejected_rows;
        },
      );
      await fc.assert(property, { numRuns: runs, endOnFailure: true });
      expect(await storedRows()).toBe(stored);
      expect(sums.accepted).toBeGreaterThan(0);
      expect(sums.rejected).toBeGreaterThan(0);
    },
    600_000,
  );

  test('the sums are those of what was accepted', async () => {
    await app.usage.rollup.once();
    const [row] = await db.query(
      dynamic<{ raw: string; daily: string; totals: string }>(sql`
        select (select count(*) || ' ' || sum(used) || ' ' || sum(price) from usage_records) as raw,
          (select sum(records) || ' ' || sum(total_used) || ' ' || sum(total_price) from usage_daily) as daily,
          (select sum(records) || ' ' || sum(total_used) || ' ' || sum(total_price) from usage_totals) as totals`),
    );
    expect([row?.daily, row?.totals]).toEqual([row?.raw, row?.raw]);
  });
});
