import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Currency } from '../../core/money.ts';
import { createRandom } from '../../core/pseudo-random.ts';
import { dayMs, type Instant } from '../../core/time.ts';
import { totalOf } from './order.ts';
import { type GenerateOptions, generateOrders } from './order-generator.ts';
import { zipfSampler } from './zipf.ts';

const options: GenerateOptions = {
  count: 5_000,
  customers: 200,
  zipf: 1,
  from: Date.UTC(2025, 0, 1) as Instant,
  to: Date.UTC(2026, 0, 1) as Instant,
  cancelledShare: 0.2,
  seed: 7,
  currency: 'EUR' as Currency,
};

describe('made-up orders', () => {
  const orders = [...generateOrders(options)];
  const lastStatus = (order: (typeof orders)[number]) => order.statuses?.at(-1)?.status ?? 'pending';

  test('are the same for the same seed and others for another', () => {
    expect([...generateOrders(options)]).toEqual(orders);
    expect([...generateOrders({ ...options, seed: 8 })]).not.toEqual(orders);
  });

  test('lie in the period, in the order of time, with every day served', () => {
    const times = orders.map(({ placedAt }) => placedAt ?? 0);
    expect([...times].sort((a, b) => a - b)).toEqual(times);
    expect(Math.min(...times)).toBeGreaterThanOrEqual(options.from);
    expect(Math.max(...times)).toBeLessThan(options.to);
    expect(new Set(times.map((at) => Math.floor(at / dayMs))).size).toBe(365);
  });

  test('have the share of cancelled ones that was asked for, most others complete and some recent ones pending', () => {
    const share = orders.filter((order) => lastStatus(order) === 'cancelled').length / orders.length;
    expect(share).toBeGreaterThan(0.17);
    expect(share).toBeLessThan(0.23);
    const pending = orders.filter((order) => lastStatus(order) === 'pending');
    expect(pending.length).toBeGreaterThan(0);
    expect(pending.every(({ placedAt }) => (placedAt ?? 0) >= options.to - 2 * dayMs)).toBe(true);
  });

  test('have 1 to 5 items that add up, numbers of their own and histories that never run ahead of the period', () => {
    expect(new Set(orders.map(({ orderNumber }) => orderNumber)).size).toBe(options.count);
    for (const { items, total, statuses, placedAt } of orders) {
      expect(items.length).toBeGreaterThanOrEqual(1);
      expect(items.length).toBeLessThanOrEqual(5);
      expect(total).toBe(totalOf(items));
      const times = [placedAt ?? 0, ...(statuses ?? []).map(({ occurredAt }) => occurredAt)];
      expect([...times].sort((a, b) => a - b)).toEqual(times);
      expect(times.at(-1)).toBeLessThan(options.to);
    }
  });
});

describe("ranks by Zipf's law", () => {
  test.each([0, 0.5, 1, 2])('come in proportion to 1 / rank^%d', (exponent) => {
    const count = 50;
    const draws = 200_000;
    const random = createRandom(1);
    const draw = zipfSampler(count, exponent);
    const found = new Array<number>(count).fill(0);
    for (let i = 0; i < draws; i++) {
      const rank = draw(random);
      found[rank] = (found[rank] ?? 0) + 1;
    }
    const weights = found.map((_, k) => (k + 1) ** -exponent);
    const sum = weights.reduce((a, b) => a + b, 0);
    for (const [k, weight] of weights.entries()) {
      const expected = (draws * weight) / sum;
      // Six standard deviations of a binomial count.
      expect(Math.abs((found[k] ?? 0) - expected)).toBeLessThan(6 * Math.sqrt(expected) + 1);
    }
  });

  test('stay in range whatever the count and the exponent', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 300 }),
        fc.double({ min: 0, max: 10, noNaN: true }),
        fc.integer(),
        (count, exponent, seed) => {
          const random = createRandom(seed);
          const draw = zipfSampler(count, exponent);
          for (let i = 0; i < 50; i++) {
            const rank = draw(random);
            expect(rank >= 0 && rank < count && Number.isInteger(rank)).toBe(true);
          }
        },
      ),
    );
  });
});
