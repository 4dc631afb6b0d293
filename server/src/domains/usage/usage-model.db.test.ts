import fc from 'fast-check';
import { afterAll, expect, test } from 'vitest';
import { type Day, dayOf, formatDay, parseDay } from '../../core/days.ts';
import type { Instant } from '../../core/time.ts';
import { testDatabase } from '../../testing/test-database.ts';
import { intakeCommands, type UsageCommand } from '../../testing/usage-commands.ts';
import { correctionCommands } from '../../testing/usage-correction-commands.ts';
import { dayAgo, newModel, type UsageModel } from '../../testing/usage-model.ts';
import { amountText, overLimitOf, sumsOf } from '../../testing/usage-oracle.ts';
import { openUsageWorld, type UsageWorld } from '../../testing/usage-world.ts';
import type { Decimal } from './usage.ts';
import type { UsageSum } from './usage-read.ts';

const { url } = await testDatabase();
// Yesterday was a leap day.
const now = Date.parse('2024-03-01T12:00:00.000Z') as Instant;
const rawDays = 5;
const world = await openUsageWorld(url, now, rawDays);
afterAll(() => world.close());

const page = { after: null, limit: 500 } as const;
const limits = [0n, 1n, 300_000n, 12_340_000n, 999_999_999_999_999_999n, 2_000_000_000_000_000_000n];

const sumText = (sum: UsageSum) => ({
  subscriptionId: sum.subscriptionId,
  usageType: sum.usageType,
  day: sum.day === null ? null : formatDay(sum.day),
  records: sum.records,
  used: BigInt(sum.totalUsed),
  price: sum.totalPrice,
});

/** Asks both APIs and the oracle. */
async function compare(model: UsageModel, { usage, other }: UsageWorld, step: number): Promise<void> {
  const period = { from: dayAgo(model, 3 + (step % 5)), to: dayAgo(model, step % 3) };
  const always = { from: '2000-01-01', to: '2024-03-01' };
  for (const isFresh of [false, true]) {
    const recency = { fresh: isFresh, waitFor: null };
    for (const [isByDay, { from, to }, usageType] of [
      [true, always, null],
      [false, period, step % 2 === 0 ? null : 'data'],
    ] as const) {
      const selection = { days: daysOf({ from, to }), usageType, subscriptionId: null };
      const { items } = await usage.metrics({ selection, byDay: isByDay, ...recency }, page);
      const wanted = sumsOf(model.batches, { from, to, usageType, isFresh }, isByDay);
      expect(items.map(sumText)).toEqual(wanted.map((sum) => ({ ...sum, price: amountText(sum.price) })));
      // No correction may take more than there is.
      for (const { used, price } of wanted) expect(used >= 0n && price >= 0n).toBe(true);
    }
    const limit = limits[step % limits.length] ?? 0n;
    for (const days of [null, period]) {
      const selection = { days: days === null ? null : daysOf(days), usageType: null, subscriptionId: null };
      const query = { selection, priceLimit: amountText(limit) as Decimal, ...recency };
      const { items } = await other.overLimit(query, page);
      expect(items).toEqual(overLimitOf(model.batches, { isFresh, ...(days ?? {}) }, limit));
    }
  }
}

const daysOf = ({ from, to }: { readonly from: string; readonly to: string }) => ({
  from: parseDay(from) as Day,
  to: parseDay(to) as Day,
});

/** The command, and the comparison behind it. */
const compared = (command: UsageCommand): UsageCommand => ({
  check: (model) => command.check(model),
  toString: () => command.toString(),
  async run(model, real) {
    await command.run(model, real);
    await compare(model, real, ++model.names);
  },
});

const anyCommand = fc.oneof(...intakeCommands, ...correctionCommands).map(compared);

test('whatever is sent, corrected, rolled up, dropped, cut and held open: both reads are what brute force says', async () => {
  expect(dayOf(now)).toBe(parseDay('2024-03-01'));
  await fc.assert(
    fc.asyncProperty(fc.commands([anyCommand], { maxCommands: 40, size: '+1' }), async (commands) => {
      await world.reset();
      const model = newModel(now, rawDays);
      try {
        await fc.asyncModelRun(() => ({ model, real: world }), commands);
      } finally {
        for (const held of model.held.splice(0)) await held.end('rollback');
      }
      await world.usage.rollup.once();
      for (const batch of model.batches) batch.isRolledUp = true;
      await compare(model, world, 0);
    }),
    { numRuns: 20 },
  );
}, 300_000);
