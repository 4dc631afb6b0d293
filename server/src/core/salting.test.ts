import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { maxWays } from './customer-layout.ts';
import { behindEpoch, heldUntil, judgeWays, notRenewedSince, type SeenLease } from './salting.ts';

const ways = fc.integer({ min: 1, max: maxWays });
const leases = fc.array(
  fc.record({
    serverId: fc.uuid(),
    isLive: fc.boolean(),
    renewedAt: fc.integer({ min: 0, max: 1_000 }),
    seenEpoch: fc.bigInt({ min: 0n, max: 20n }),
  }) satisfies fc.Arbitrary<SeenLease>,
);

describe('ways', () => {
  test('only grow: fewer are refused, as many are nothing to do, whatever the numbers', () => {
    fc.assert(
      fc.property(ways, ways, (now, wanted) => {
        expect(judgeWays(now, wanted).kind).toBe(wanted > now ? 'salt' : wanted === now ? 'nothing' : 'refused');
      }),
    );
  });

  test.each([0, -1, 1.5, maxWays + 1, Number.NaN])('%d are refused', (wanted) => {
    expect(judgeWays(1, wanted)).toMatchObject({ kind: 'refused', reason: expect.stringContaining(`${maxWays}`) });
  });
});

describe('leases', () => {
  test('that are live and have seen less than an epoch are waited for, and no others', () => {
    fc.assert(
      fc.property(leases, fc.bigInt({ min: 0n, max: 20n }), (list, epoch) => {
        const behind = new Set(behindEpoch(list, epoch));
        for (const lease of list) expect(behind.has(lease)).toBe(lease.isLive && lease.seenEpoch < epoch);
      }),
    );
  });

  test('that were renewed after a moment, or have run out, are not waited for', () => {
    fc.assert(
      fc.property(leases, fc.integer({ min: 0, max: 1_000 }), (list, since) => {
        const late = new Set(notRenewedSince(list, since));
        for (const lease of list) expect(late.has(lease)).toBe(lease.isLive && lease.renewedAt <= since);
      }),
    );
  });

  test('end for their holder before they end for the others, though its clock is up to a tenth slower', () => {
    const clock = fc.record({
      askedAt: fc.integer({ min: 0, max: 1e9 }),
      lifeMs: fc.integer({ min: 1, max: 60_000 }),
      // What passes before the database takes the renewal, and how fast the holder's clock runs.
      underWayMs: fc.integer({ min: 0, max: 10_000 }),
      speed: fc.double({ min: 0.9, max: 1.1, noNaN: true }),
    });
    fc.assert(
      fc.property(clock, ({ askedAt, lifeMs, underWayMs, speed }) => {
        const endsForOthers = underWayMs + lifeMs;
        const endsForHolder = (heldUntil(askedAt, lifeMs) - askedAt) / speed;
        expect(endsForHolder).toBeLessThanOrEqual(endsForOthers + 1e-6);
      }),
    );
  });
});
