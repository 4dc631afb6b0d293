import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Day, dayOf, formatDay, parseDay } from '../../core/days.ts';
import { type Instant, parseInstant } from '../../core/time.ts';
import { createBatchIds, parseBatchId } from './batch-id.ts';
import { createBucketCache } from './bucket-cache.ts';
import { formatAmount, parsePrice } from './decimal.ts';
import type { BatchId } from './usage.ts';
import { emptyFields, readInstant } from './usage-fields.ts';
import { readJsonLine } from './usage-json-line.ts';
import { createUsageParts } from './usage-parts.ts';
import { type IntakeRules, judgeDocument } from './usage-record.ts';

const rules: IntakeRules = {
  now: Date.parse('2026-11-21T12:00:00Z') as Instant,
  rawFrom: parseDay('2026-11-07') as Day,
  types: ['data', 'voice'],
};
const document = {
  record_id: 'r1',
  subscription_id: 'SUB1',
  usage_type: 'data',
  used_at: '2026-11-20T10:00:00Z',
  used: 100,
  price: '1.25',
};
const codeOf = (more: object) => judgeDocument({ ...document, ...more }, rules).refusal?.code ?? 'taken';

describe('a record', () => {
  test.each([
    ['0', 'taken'],
    ['0.000001', 'taken'],
    ['999999999999.999999', 'taken'],
    ['1.1234567', 'invalid_input'],
    ['1000000000000', 'invalid_input'],
    ['-1', 'invalid_input'],
    ['+1', 'invalid_input'],
    ['1e3', 'invalid_input'],
    ['NaN', 'invalid_input'],
    ['Infinity', 'invalid_input'],
    ['', 'invalid_input'],
    ['.5', 'invalid_input'],
    ['5.', 'invalid_input'],
    ['1,5', 'invalid_input'],
    [' 1', 'invalid_input'],
    [1.25, 'invalid_input'],
    [null, 'invalid_input'],
  ])('with the price %j is %s', (price, expected) => expect(codeOf({ price })).toBe(expected));

  test.each([
    [0, 'taken'],
    [2 ** 53 - 1, 'taken'],
    [2 ** 53, 'invalid_input'],
    ['9223372036854775807', 'taken'],
    ['9223372036854775808', 'invalid_input'],
    [-1, 'invalid_input'],
    [1.5, 'invalid_input'],
    ['1.0', 'invalid_input'],
    [Number.NaN, 'invalid_input'],
  ])('with %j used is %s', (used, expected) => expect(codeOf({ used })).toBe(expected));

  test.each([
    ['2026-11-20T10:00:00', 'invalid_input'],
    ['2026-02-29T10:00:00Z', 'invalid_input'],
    ['2026-11-21T12:05:00Z', 'taken'],
    ['2026-11-21T12:05:00.001Z', 'in_future'],
    ['2026-11-07T00:00:00Z', 'taken'],
    ['2026-11-06T23:59:59.999999Z', 'too_old'],
    ['2026-11-07T00:59:59+01:00', 'too_old'],
    ['2026-11-06T23:00:00-01:00', 'taken'],
  ])('used at %s is %s', (used_at, expected) => expect(codeOf({ used_at })).toBe(expected));

  test('of an unknown type, with an unknown field or a NUL is refused', () => {
    expect(codeOf({ usage_type: 'sms' })).toBe('unknown_usage_type');
    expect(codeOf({ extra: 1 })).toBe('invalid_input');
    expect(codeOf({ record_id: 'a\0' })).toBe('invalid_input');
    expect(codeOf({ subscription_id: '\ud800' })).toBe('invalid_input');
    expect(codeOf({ subscription_id: '' })).toBe('invalid_input');
  });
});

test('an instant read from bytes is the one read from text, truncated', () => {
  const read = (text: string) => readInstant(Buffer.from(text), 0, text.length);
  const day = fc.date({
    min: new Date('0001-01-02T00:00:00Z'),
    max: new Date('9999-12-30T00:00:00Z'),
    noInvalidDate: true,
  });
  const zone = fc.constantFrom('Z', '+00:00', '-12:00', '+14:00', '+05:45', '+23:59');
  fc.assert(
    fc.property(day, fc.stringMatching(/^\d{0,9}$/), zone, (at, fraction, offset) => {
      const text = `${at.toISOString().slice(0, 19)}${fraction === '' ? '' : `.${fraction}`}${offset}`;
      expect(read(text)).toBe(parseInstant(text));
    }),
  );
  for (const text of ['2024-02-29T00:00:00Z', '2000-02-29T23:59:59.999999Z'])
    expect(read(text)).toBe(parseInstant(text));
  for (const text of [
    '2023-02-29T00:00:00Z',
    '1900-02-29T00:00:00Z',
    '2026-13-01T00:00:00Z',
    '2026-04-31T00:00:00Z',
    '2026-04-01T24:00:00Z',
  ]) {
    expect(read(text)).toBeNaN();
    expect(parseInstant(text)).toBeNull();
  }
});

test('the fast reader takes nothing that the careful one refuses, and the same from it', () => {
  const types = rules.types.map((name) => Buffer.from(name));
  const value = fc.oneof(
    fc.constantFrom(
      '0',
      '1.25',
      '12.5',
      '0.000001',
      '123456789012',
      '00.10',
      '-1',
      '1e3',
      '',
      'NaN',
      '1.1234567',
      '007',
    ),
    fc.string({ maxLength: 8 }),
  );
  const plainId = { weight: 4, arbitrary: fc.stringMatching(/^[a-z0-9-]{1,6}$/) };
  const documents = fc.record({
    record_id: fc.oneof(plainId, { weight: 1, arbitrary: fc.string({ maxLength: 6, unit: 'binary' }) }),
    subscription_id: fc.oneof(plainId, { weight: 1, arbitrary: fc.string({ maxLength: 6 }) }),
    usage_type: fc.constantFrom('data', 'voice', 'sms'),
    used_at: fc.constantFrom(
      '2026-11-20T10:00:00Z',
      '2026-11-19T23:59:59.9999+02:00',
      '2026-11-20t10:00:00z',
      '2026-11-20T10:00:60Z',
      'x',
    ),
    used: fc.oneof(fc.nat(), fc.maxSafeNat(), fc.integer(), fc.double(), fc.constantFrom('1', true)),
    price: value,
  });
  let fast = 0;
  fc.assert(
    fc.property(documents, fc.boolean(), (made, pretty) => {
      const line = JSON.stringify(made, null, pretty ? '\t' : undefined).replaceAll('\n', ' ');
      const fields = emptyFields();
      fields.source = Buffer.from(line);
      if (readJsonLine(fields, 0, types) < 0) return;
      fast++;
      const { record } = judgeDocument(JSON.parse(line), rules);
      expect(record?.usedAt).toBe(fields.usedAtMs);
      expect(record?.used).toBe((BigInt(fields.usedHigh) << 32n) | BigInt(fields.usedLow));
      expect(record?.usageType).toBe(rules.types[fields.type]);
      const text = (from: number, end: number) => Buffer.from(fields.source.subarray(from, end)).toString();
      expect(record?.subscriptionId).toBe(text(fields.subscriptionAt, fields.subscriptionEnd));
      expect(record?.recordId).toBe(text(fields.recordAt, fields.recordEnd));
      const price = `${fields.priceWhole}${fields.pricePlaces === 0 ? '' : `.${String(fields.priceMillionths).padStart(6, '0').slice(0, fields.pricePlaces)}`}`;
      expect(price).toBe(record?.price.replace(/^0+(?=\d)/, ''));
    }),
    { numRuns: 3_000 },
  );
  // Some 80 are to be expected.
  expect(fast).toBeGreaterThan(30);
});

test('parts are the same however the bytes arrive', () => {
  const lines = Array.from({ length: 30 }, (_, i) =>
    i % 7 === 3
      ? ''
      : i === 11
        ? 'x'.repeat(70_000)
        : i === 18
          ? ' '.repeat(70_000)
          : JSON.stringify({ ...document, record_id: `r${i}` }),
  );
  const bytes = Buffer.concat([Buffer.from(lines.join('\n')), Buffer.from('\n\xff\n', 'latin1')]);
  const partsOf = (sizes: readonly number[]) => {
    let next = 0n;
    const parts = createUsageParts({
      format: 'ndjson',
      newBatchId: () => ++next as BatchId,
      rules: () => rules,
      buckets: createBucketCache(2 ** 8),
      partLines: 8,
    });
    const made = [];
    let at = 0;
    for (let i = 0; at < bytes.length; i++) {
      const size = sizes[i % sizes.length] ?? 1;
      made.push(...parts.push(bytes.subarray(at, at + size)));
      at += size;
    }
    made.push(...parts.end());
    return made.map(({ contentHash, part, firstLine, lines: count, rows, rejected, bytes: rowBytes }) => ({
      hash: contentHash.toString('hex'),
      part,
      firstLine,
      count,
      rows,
      rejected,
      stored: Buffer.concat(rowBytes()).toString('hex'),
    }));
  };
  const whole = partsOf([bytes.length]);
  expect(whole.map(({ firstLine, count }) => [firstLine, count])).toEqual([
    [1, 8],
    [9, 8],
    [17, 8],
    [25, 7],
  ]);
  expect(whole.flatMap(({ rejected }) => rejected.map(({ line, code }) => [line, code]))).toEqual([
    [12, 'line_too_long'],
    [19, 'line_too_long'],
    [31, 'invalid_utf8'],
  ]);
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 5_000 }), { minLength: 1, maxLength: 5 }), (sizes) => {
      expect(partsOf(sizes)).toEqual(whole);
    }),
    { numRuns: 15 },
  );
});

test('amounts are told with two places or as many as they need', () => {
  expect(['0', '0.3', '12.340000', '0.000001', '-1.50', '10000000000000000000.1'].map(formatAmount)).toEqual([
    '0.00',
    '0.30',
    '12.34',
    '0.000001',
    '-1.50',
    '10000000000000000000.10',
  ]);
  expect(parsePrice('12.34')).toBe('12.34');
});

test('batch ids rise, within a millisecond too, and fit into a bigint of PostgreSQL', () => {
  const make = createBatchIds(() => 0.999_999_9);
  const at = Date.parse('2089-01-01T00:00:00Z') as Instant;
  const made = [make(at), make(at), make((at - 5) as Instant), make((at + 1) as Instant)];
  expect(made).toEqual([...made].sort((a, b) => (a < b ? -1 : 1)));
  expect(new Set(made).size).toBe(4);
  expect(parseBatchId(String(made[3]))).toBe(made[3]);
  expect(parseBatchId('9223372036854775808')).toBeNull();
});

test('days are those of UTC, before 1970 too', () => {
  for (const text of ['2026-11-21', '1969-12-31', '0001-01-01', '2024-02-29']) {
    const day = parseDay(text) as Day;
    expect(formatDay(day)).toBe(text);
    expect(dayOf(Date.parse(`${text}T23:59:59.999Z`) as Instant)).toBe(day);
  }
  for (const text of ['2026-02-30', '0000-01-01', '2026-1-1', '']) expect(parseDay(text)).toBeNull();
});
