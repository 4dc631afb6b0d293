import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Instant } from '../../core/time.ts';
import { formatAmount, formatMicros, microsOf } from './decimal.ts';
import type { Decimal } from './usage.ts';
import { adjustmentSubmission } from './usage-adjustment.ts';
import {
  changed,
  changeOf,
  contentHashOf,
  correctionSubmission,
  differencesOf,
  type RecordState,
} from './usage-correction.ts';

const state = (more: Partial<RecordState> = {}): RecordState => ({
  subscriptionId: 'S1',
  usageType: 'data',
  usedAt: Date.parse('2024-02-29T23:59:59.999Z') as Instant,
  used: 100n,
  price: '0.30' as Decimal,
  deleted: false,
  ...more,
});

const shown = (before: RecordState, after: RecordState) =>
  differencesOf(before, after).map(
    ({ subscriptionId, usageType, day, records, used, priceMicros, side }) =>
      `${side}: ${subscriptionId} ${usageType} ${new Date(day * 86_400_000).toISOString().slice(0, 10)} ${records} ${used} ${formatMicros(priceMicros)}`,
  );

describe('the differences of a correction', () => {
  test('within one sum are one, and none when nothing of it changes', () => {
    expect(shown(state(), state({ used: 1n, price: '0.10' as Decimal }))).toEqual([
      '0: S1 data 2024-02-29 0 -99 -0.200000',
    ]);
    expect(shown(state(), state({ usedAt: Date.parse('2024-02-29T00:00:00Z') as Instant }))).toEqual([]);
  });

  test('of a move are two: one takes, one gives', () => {
    const moved = state({ usedAt: Date.parse('2024-03-01T00:00:00Z') as Instant });
    expect(shown(state(), moved)).toEqual([
      '0: S1 data 2024-02-29 -1 -100 -0.300000',
      '1: S1 data 2024-03-01 1 100 0.300000',
    ]);
  });

  test('of a deletion take all, and those of bringing it back give all', () => {
    const gone = state({ deleted: true });
    expect(shown(state(), gone)).toEqual(['0: S1 data 2024-02-29 -1 -100 -0.300000']);
    expect(shown(gone, state())).toEqual(['1: S1 data 2024-02-29 1 100 0.300000']);
    expect(shown(gone, gone)).toEqual([]);
  });
});

describe('a correction', () => {
  const parse = (body: object) => changeOf(correctionSubmission.parse({ revision: 1, ...body }));
  const hash = (body: object, reason: string | null = null) =>
    contentHashOf({ change: parse(body), reason }).toString('hex');

  test('changes what it names and keeps the rest, with the price as it is read later', () => {
    expect(changed(state(), parse({ price: '2' }))).toEqual(state({ price: '2.00' as Decimal }));
    expect(changed(state({ deleted: true }), parse({ deleted: false, used: '7' }))).toEqual(state({ used: 7n }));
  });

  test('has one content however it is written, and another for every other meaning', () => {
    const one = { used: 7, price: '0.2', used_at: '2026-01-01T01:00:00+01:00' };
    expect(hash({ price: '0.20', used: '7', used_at: '2026-01-01T00:00:00.000999Z' })).toBe(hash(one));
    const others = [
      { ...one, used: 8 },
      { ...one, price: '0.21' },
      { ...one, usage_type: 'data' },
      { price: '7' },
      { used: 7 },
      { usage_type: 'x' },
      { subscription_id: 'x' },
    ];
    expect(new Set([hash(one), hash(one, 'why'), ...others.map((other) => hash(other))]).size).toBe(others.length + 2);
  });
});

test('millionths and texts are each other’s reverse', () => {
  fc.assert(
    fc.property(fc.bigInt({ min: -(10n ** 40n), max: 10n ** 40n }), (micros) => {
      expect(microsOf(formatMicros(micros))).toBe(micros);
      expect(microsOf(formatAmount(formatMicros(micros)))).toBe(micros);
    }),
  );
  expect([microsOf('-0.5'), microsOf('12'), microsOf('0.000001'), microsOf('-0.00')]).toEqual([
    -500_000n,
    12_000_000n,
    1n,
    0n,
  ]);
});

test('an adjustment that changes nothing is refused, whatever zero looks like', () => {
  const body = { subscription_id: 'S', usage_type: 'data', day: '2024-02-29', adjustment_id: 'a', reason: 'why' };
  for (const [used_delta, price_delta] of [
    [0, '0'],
    ['-0', '-0.000000'],
    ['000', '0.0'],
  ])
    expect(adjustmentSubmission.safeParse({ ...body, used_delta, price_delta }).success).toBe(false);
  expect(
    adjustmentSubmission.parse({ ...body, used_delta: '-9'.padEnd(31, '9'), price_delta: '-0.000001' }),
  ).toMatchObject({
    usedDelta: -(10n ** 30n - 1n),
    priceDeltaMicros: -1n,
  });
});
