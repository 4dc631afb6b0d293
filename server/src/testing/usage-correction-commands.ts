import fc from 'fast-check';
import { expect } from 'vitest';
import { type Day, parseDay } from '../core/days.ts';
import type { Instant } from '../core/time.ts';
import type { Correction, RecordChange } from '../domains/usage/usage-correction.ts';
import { amounts, command, prices, shown } from './usage-commands.ts';
import {
  amountOf,
  commit,
  dayAgo,
  dayMicros,
  type ModelRecord,
  type ModelState,
  type UsageModel,
} from './usage-model.ts';
import { type Amount, amountText, dayText, microsText, presentOf } from './usage-oracle.ts';

/** A change as it is drawn; days are counted back from today. */
interface DrawnChange {
  readonly subscription?: number | undefined;
  readonly usageType?: string | undefined;
  readonly daysAgo?: number | undefined;
  readonly used?: bigint | undefined;
  readonly price?: string | undefined;
  readonly deleted?: boolean | undefined;
}

const sometimes = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: undefined, freq: 2 });

const drawnChange: fc.Arbitrary<DrawnChange> = fc.oneof(
  { weight: 1, arbitrary: fc.constant({ deleted: true }) },
  {
    weight: 3,
    arbitrary: fc.record({
      subscription: sometimes(fc.integer({ min: 1, max: 5 })),
      usageType: sometimes(fc.constantFrom('data', 'voice')),
      daysAgo: sometimes(fc.constantFrom(0, 1, 2, 5, 9, 45, 400)),
      used: sometimes(fc.constantFrom(...amounts)),
      price: sometimes(fc.constantFrom(...prices)),
      deleted: sometimes(fc.constant(false)),
    }),
  },
);

function changeOf(model: UsageModel, drawn: DrawnChange): RecordChange {
  const middleOf = (days: number): Instant =>
    Number((model.todayMicros - BigInt(days) * dayMicros) / 1_000n + 3_600_000n) as Instant;
  return {
    subscriptionId: drawn.subscription === undefined ? undefined : `S${drawn.subscription}`,
    usageType: drawn.usageType,
    usedAt: drawn.daysAgo === undefined ? undefined : middleOf(drawn.daysAgo),
    used: drawn.used,
    price: drawn.price as RecordChange['price'],
    deleted: drawn.deleted,
  };
}

const after = (state: ModelState, change: RecordChange): ModelState => ({
  subscriptionId: change.subscriptionId ?? state.subscriptionId,
  usageType: change.usageType ?? state.usageType,
  day: change.usedAt === undefined ? state.day : dayText(BigInt(change.usedAt) * 1_000n),
  used: change.used ?? state.used,
  price: change.price === undefined ? state.price : microsText(change.price),
  deleted: change.deleted ?? state.deleted,
});

/** What a correction changes. Both sides stand apart; the sums do not care. */
const changesOf = (before: ModelState, state: ModelState): Amount[] => [
  ...(before.deleted ? [] : [amountOf(before, -1n)]),
  ...(state.deleted ? [] : [amountOf(state, 1n)]),
];

/** Whether a sum falls below zero by these amounts. */
function isBelowZero(model: UsageModel, changes: readonly Amount[]): boolean {
  const after = [...model.batches, { amounts: changes, isRolledUp: false }];
  return changes.some((change) => {
    const { used, price } = presentOf(after, change);
    return used < 0n || price < 0n;
  });
}

/** The error that a correction has to meet; null = it is written, or answered as before. */
function errorOf(model: UsageModel, record: ModelRecord, { revision, change, reason }: Correction): string | null {
  const known = record.revisions[revision - 1];
  if (known !== undefined)
    return contentText(known.change, known.reason) === contentText(change, reason) ? null : 'usage_key_reused';
  if (record.sent.day < model.rawFrom) return 'raw_dropped';
  if (revision !== record.revisions.length + 1) return 'usage_revision_conflict';
  if (record.state.deleted && change.deleted !== false) return 'usage_record_deleted';
  const changes = changesOf(record.state, after(record.state, change));
  return isBelowZero(model, changes) ? 'usage_below_zero' : null;
}

const contentText = (change: RecordChange, reason: string | null): string =>
  shown([{ ...change, price: change.price === undefined ? undefined : amountText(microsText(change.price)) }, reason]);

const correctionOf = (
  model: UsageModel,
  { sent }: ModelRecord,
  {
    revision,
    drawn,
    reason,
  }: { readonly revision: number; readonly drawn: DrawnChange; readonly reason: string | null },
): Correction => ({
  identity: { subscriptionId: sent.subscriptionId, recordId: sent.recordId, day: parseDay(sent.day) as Day },
  revision,
  change: changeOf(model, drawn),
  reason,
  actor: 'oracle',
});

const stateText = ({ subscriptionId, usageType, used, price, deleted }: ModelState) => ({
  subscriptionId,
  usageType,
  used,
  price: amountText(price),
  deleted,
});

const pick = <T>(items: readonly T[], which: number): T | undefined => items[which % items.length];
const idle = (model: Readonly<UsageModel>): ModelRecord[] =>
  [...model.records.values()].filter(({ isBusy }) => !isBusy);

/** A correction: the next revision mostly, sometimes a known one again or one too far. */
const correcting = fc
  .record({
    which: fc.nat(),
    drawn: drawnChange,
    ahead: fc.constantFrom(1, 1, 1, 1, 1, 0, -1, 2),
    reason: fc.constantFrom(null, 'a slip'),
    elsewhere: fc.boolean(),
  })
  .map(({ which, drawn, ahead, reason, elsewhere }) =>
    command(
      `correct(${which}, ${shown({ drawn, ahead, reason, elsewhere })})`,
      async (model, { usage, other }) => {
        const record = pick(idle(model), which);
        if (record === undefined) return;
        const revision = Math.max(1, record.revisions.length + ahead);
        const correction = correctionOf(model, record, { revision, drawn, reason });
        const answer = (elsewhere ? other : usage).correct(correction);
        const code = errorOf(model, record, correction);
        if (code !== null) return expect(answer).rejects.toMatchObject({ code });
        const known = record.revisions[revision - 1];
        const state = known?.state ?? after(record.state, correction.change);
        expect(await answer).toMatchObject({ revision, state: stateText(state), replayed: known !== undefined });
        if (known !== undefined) return;
        commit(model, changesOf(record.state, state));
        record.state = state;
        record.revisions.push({ change: correction.change, reason, state });
      },
      (model) => idle(model).length > 0,
    ),
  );

/** The last correction of a record again, as it was sent. */
const correctingAgain = fc.record({ which: fc.nat(), nth: fc.nat() }).map(({ which, nth }) =>
  command(
    `correctAgain(${which}, ${nth})`,
    async (model, { usage }) => {
      const record = pick(
        idle(model).filter(({ revisions }) => revisions.length > 0),
        which,
      );
      const known = record === undefined ? undefined : pick(record.revisions, nth);
      if (record === undefined || known === undefined) return;
      const revision = record.revisions.indexOf(known) + 1;
      const correction = {
        ...correctionOf(model, record, { revision, drawn: {}, reason: known.reason }),
        change: known.change,
      };
      expect(await usage.correct(correction)).toMatchObject({
        revision,
        state: stateText(known.state),
        replayed: true,
      });
    },
    (model) => idle(model).some(({ revisions }) => revisions.length > 0),
  ),
);

/** The same correction from two servers at once, and another one of the same revision. */
const correctingAtOnce = fc
  .record({ which: fc.nat(), drawn: drawnChange, rival: drawnChange })
  .map(({ which, drawn, rival }) =>
    command(
      `correctAtOnce(${which}, ${shown({ drawn, rival })})`,
      async (model, { usage, other }) => {
        const record = pick(idle(model), which);
        if (record === undefined) return;
        const revision = record.revisions.length + 1;
        const one = correctionOf(model, record, { revision, drawn, reason: null });
        const two = correctionOf(model, record, { revision, drawn: rival, reason: 'rival' });
        const answers = await Promise.allSettled([usage.correct(one), other.correct(one), other.correct(two)]);
        const written = answers.flatMap((answer, i) =>
          answer.status === 'fulfilled' && !answer.value.replayed ? [i === 2 ? two : one] : [],
        );
        const errors = [one, one, two].map((correction) => errorOf(model, record, correction));
        expect(written.length).toBe(errors.includes(null) ? 1 : 0);
        // Whoever comes after the winner finds the revision taken.
        for (const [i, answer] of answers.entries())
          if (answer.status === 'rejected') expect([errors[i], 'usage_key_reused']).toContain(answer.reason.code);
        const [winner] = written;
        if (winner === undefined) return;
        expect(errorOf(model, record, winner)).toBeNull();
        const state = after(record.state, winner.change);
        commit(model, changesOf(record.state, state));
        record.state = state;
        record.revisions.push({ change: winner.change, reason: winner.reason, state });
      },
      (model) => idle(model).length > 0,
    ),
  );

/** A correction whose transaction stays open. */
const holdingCorrection = fc.record({ which: fc.nat(), drawn: drawnChange }).map(({ which, drawn }) =>
  command(
    `holdCorrection(${which}, ${shown(drawn)})`,
    async (model, world) => {
      // What takes from days behind the horizon holds others up.
      const record = pick(
        idle(model).filter(({ state, sent }) => state.day >= model.rawFrom && sent.day >= model.rawFrom),
        which,
      );
      if (record === undefined) return;
      const revision = record.revisions.length + 1;
      const correction = correctionOf(model, record, { revision, drawn, reason: null });
      if (errorOf(model, record, correction) !== null) return;
      const work = await world.holding.hold(() => world.slow.correct(correction));
      record.isBusy = true;
      model.held.push({
        async end(ending) {
          const answer = work.end(ending);
          record.isBusy = false;
          if (ending !== 'commit') return void (await expect(answer).rejects.toThrow());
          const state = after(record.state, correction.change);
          expect(await answer).toMatchObject({ revision, state: stateText(state), replayed: false });
          commit(model, changesOf(record.state, state));
          record.state = state;
          record.revisions.push({ change: correction.change, reason: null, state });
        },
      });
    },
    (model) => model.held.length < 3 && idle(model).length > 0,
  ),
);

const deltas = [0n, 1n, -1n, -1_000n, 5n, 2n ** 63n, -(2n ** 31n)] as const;
const priceDeltas = [0n, 1n, -1n, 100_000n, -100_000n, 200_000n, -12_340_000n, 10n ** 20n] as const;

/** A difference to the sums of an old day: new, again, or another one under a known id. */
const adjusting = fc
  .record({
    which: fc.nat(),
    mode: fc.constantFrom('new', 'new', 'new', 'again', 'other'),
    subscription: fc.integer({ min: 1, max: 4 }),
    usageType: fc.constantFrom('data', 'voice'),
    daysAgo: fc.constantFrom(0, 2, 4, 5, 6, 7, 9, 45),
    used: fc.constantFrom(...deltas),
    price: fc.constantFrom(...priceDeltas),
  })
  .map(({ which, mode, ...drawn }) =>
    command(`adjust(${which}, ${mode}, ${shown(drawn)})`, async (model, { usage }) => {
      const { subscription, usageType, daysAgo, used, price } = drawn;
      const fresh: Amount = {
        subscriptionId: `S${subscription}`,
        usageType,
        day: dayAgo(model, daysAgo),
        records: 0n,
        used,
        price,
      };
      const known = mode === 'new' ? undefined : pick(model.adjustments, which);
      const id = known?.id ?? `a${++model.names}`;
      const amount =
        known === undefined
          ? fresh
          : mode === 'again'
            ? known.amount
            : { ...known.amount, used: known.amount.used + 1n };
      const adjustment = {
        subscriptionId: amount.subscriptionId,
        adjustmentId: id,
        usageType: amount.usageType,
        day: parseDay(amount.day) as Day,
        usedDelta: amount.used,
        priceDeltaMicros: amount.price,
        reason: 'settled',
      };
      const answer = usage.adjust(adjustment, 'oracle');
      const code =
        known !== undefined
          ? mode === 'again'
            ? null
            : 'usage_key_reused'
          : amount.day >= model.rawFrom
            ? 'raw_kept'
            : isBelowZero(model, [amount])
              ? 'usage_below_zero'
              : null;
      if (code !== null) return expect(answer).rejects.toMatchObject({ code });
      expect(await answer).toMatchObject({ ...adjustment, replayed: known !== undefined });
      if (known !== undefined) return;
      commit(model, [amount]);
      model.adjustments.push({ id, amount });
    }),
  );

export const correctionCommands = [
  { weight: 8, arbitrary: correcting },
  { weight: 2, arbitrary: correctingAgain },
  { weight: 2, arbitrary: correctingAtOnce },
  { weight: 3, arbitrary: holdingCorrection },
  { weight: 4, arbitrary: adjusting },
];
