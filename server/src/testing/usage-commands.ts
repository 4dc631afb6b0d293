import { hash } from 'node:crypto';
import fc from 'fast-check';
import { expect } from 'vitest';
import type { Usage } from '../domains/usage/usage-service.ts';
import {
  bytesOf,
  commit,
  type DrawnRecord,
  dayAgo,
  dayMicros,
  identityText,
  recordOf,
  type SentRecord,
  type SentUpload,
  take,
  type UsageModel,
} from './usage-model.ts';
import { dayText } from './usage-oracle.ts';
import { type UsageWorld, upload } from './usage-world.ts';

export type UsageCommand = fc.AsyncCommand<UsageModel, UsageWorld>;

/** A command with its name and arguments for the report of a failure. */
export const command = (
  name: string,
  run: (model: UsageModel, world: UsageWorld) => Promise<void>,
  check: (model: Readonly<UsageModel>) => boolean = () => true,
): UsageCommand => ({ check, run, toString: () => name });

/** What the report of a failure shows of arguments. */
export const shown = (value: unknown): string =>
  JSON.stringify(value, (_key, part) => (typeof part === 'bigint' ? `${part}n` : part));

const edges = [0n, 1n, -1n, 999n, -999n, -1_000n, 43_200_000_000n, 43_500_000_000n, 43_500_001_000n, 86_399_999_999n];
export const prices = ['0', '0.00', '0.10', '0.20', '0.01', '0.000001', '12.34', '999999999999.999999', '7'] as const;
export const amounts = [0n, 1n, 1_000n, 2n ** 31n - 1n, 2n ** 31n, 2n ** 53n, 2n ** 53n + 1n, 2n ** 63n - 1n] as const;
const offsets = [0, 0, 0, 330, -570, 840, -720, 1439, -1439] as const;

/** Few identities, so that many are sent again with another content; days around the horizon and around midnight. */
const drawnRecord: fc.Arbitrary<DrawnRecord> = fc.record({
  subscription: fc.integer({ min: 1, max: 4 }),
  record: fc.integer({ min: 0, max: 5 }),
  usageType: fc.constantFrom('data', 'data', 'voice'),
  daysAgo: fc.constantFrom(0, 0, 1, 1, 2, 3, 4, 5, 6, 7, 30),
  micros: fc.constantFrom(...edges),
  offsetMinutes: fc.constantFrom(...offsets),
  used: fc.constantFrom(...amounts),
  price: fc.constantFrom(...prices),
});

type How = SentUpload['how'];
const how = fc.constantFrom<How>('single', 'ndjson', 'csv');
const drawnRecords = (max: number) => fc.array(drawnRecord, { minLength: 1, maxLength: max });

const hashOf = (records: readonly SentRecord[]): Buffer =>
  hash('sha256', shown(records.map(({ document }) => document)), 'buffer');

/** Sends records one way or the other. */
function send(
  usage: Usage,
  records: readonly SentRecord[],
  { how: way, key, partLines }: Pick<SentUpload, 'how' | 'key' | 'partLines'>,
): Promise<{ accepted: number; duplicates: number; rejectedRows: number; replayed: boolean }> {
  if (way !== 'single') return upload(usage, bytesOf(records, way), { format: way, producerKey: key, partLines });
  const contentHash = key === null ? null : hashOf(records);
  const documents = records.map(({ document }) => document);
  return usage.ingest({ documents, actor: 'oracle', producerKey: key, contentHash });
}

/** Enters what was sent and compares the answer. */
async function sendAndExpect(
  model: UsageModel,
  usage: Usage,
  { records, ...options }: Pick<SentUpload, 'records' | 'how' | 'key' | 'partLines'>,
): Promise<void> {
  const answer = await send(usage, records, options);
  const { amounts: added, ...outcome } = take(model, records);
  expect(answer).toMatchObject(outcome);
  commit(model, added);
  model.uploads.push({ records, ...options, outcome });
}

const sending = fc
  .record({ drawn: drawnRecords(8), how, isKeyed: fc.boolean(), partLines: fc.constantFrom(2, 3, 20_000) })
  .map(({ drawn, isKeyed, ...options }) =>
    command(`send(${shown({ ...options, isKeyed, drawn })})`, async (model, { usage }) => {
      const key = isKeyed ? `key-${++model.names}` : null;
      await sendAndExpect(model, usage, { records: drawn.map((one) => recordOf(model, one)), key, ...options });
    }),
  );

/** An earlier upload once more: under its key it is answered as then, without one its records are judged anew. */
const sendingAgain = fc.record({ which: fc.nat(), elsewhere: fc.boolean() }).map(({ which, elsewhere }) =>
  command(
    `sendAgain(${which}, ${elsewhere})`,
    async (model, { usage, other }) => {
      const sent = model.uploads[which % model.uploads.length];
      if (sent === undefined) return;
      const server = elsewhere ? other : usage;
      if (sent.key === null) return sendAndExpect(model, server, sent);
      expect(await send(server, sent.records, sent)).toMatchObject({ ...sent.outcome, replayed: true });
    },
    (model) => model.uploads.length > 0,
  ),
);

const reusingKey = fc.record({ which: fc.nat(), drawn: drawnRecord }).map(({ which, drawn }) =>
  command(
    `reuseKey(${which}, ${shown(drawn)})`,
    async (model, { usage }) => {
      const keyed = model.uploads.filter(({ key }) => key !== null);
      const sent = keyed[which % keyed.length];
      if (sent === undefined) return;
      const records = [recordOf(model, drawn, `other-${++model.names}`)];
      await expect(send(usage, records, sent)).rejects.toMatchObject({ code: 'batch_key_reused' });
    },
    (model) => model.uploads.some(({ key }) => key !== null),
  ),
);

/** Several requests at once, on two servers, with records in common. What a record says follows from its identity. */
const sendingAtOnce = fc
  .array(fc.tuple(drawnRecords(6), how, fc.boolean()), { minLength: 2, maxLength: 4 })
  .map((requests) =>
    command(`sendAtOnce(${shown(requests)})`, async (model, { usage, other }) => {
      const all = requests.map(([drawn, way, elsewhere]) => ({
        records: drawn.map((one) => recordOf(model, { ...one, ...sameFor(one) })),
        options: { how: way, key: null, partLines: 20_000 },
        server: elsewhere ? other : usage,
      }));
      const answers = await Promise.all(all.map(({ records, options, server }) => send(server, records, options)));
      const { amounts: added, ...outcome } = take(
        model,
        all.flatMap(({ records }) => records),
      );
      expect({
        accepted: answers.reduce((sum, { accepted }) => sum + accepted, 0),
        duplicates: answers.reduce((sum, { duplicates }) => sum + duplicates, 0),
        rejectedRows: answers.reduce((sum, { rejectedRows }) => sum + rejectedRows, 0),
      }).toEqual(outcome);
      commit(model, added);
    }),
  );

const sameFor = ({ subscription, record }: DrawnRecord): Partial<DrawnRecord> => ({
  usageType: record % 2 === 0 ? 'data' : 'voice',
  micros: 43_200_000_000n,
  used: BigInt(subscription * 100 + record),
  price: `${record}.${subscription}`,
});

/** The connection breaks at COMMIT, before or after the database carried it out. */
const sendingCut = fc
  .record({ drawn: drawnRecords(4), how, when: fc.constantFrom('before' as const, 'after' as const) })
  .map(({ drawn, how: way, when }) =>
    command(`sendCut(${shown({ drawn, way, when })})`, async (model, { fragile, cutter }) => {
      const records = drawn.map((one) => recordOf(model, one));
      cutter.cutNextCommit(when);
      const answer = await send(fragile, records, { how: way, key: `key-${++model.names}`, partLines: 20_000 });
      const { amounts: added, ...outcome } = take(model, records);
      expect(answer).toMatchObject(outcome);
      commit(model, added);
    }),
  );

/** Records of a transaction that stays open until it is released: others commit before it, and rollups run. */
const holding = fc.record({ drawn: drawnRecords(4), how }).map(({ drawn, how: way }) =>
  command(
    `hold(${shown({ drawn, way })})`,
    async (model, world) => {
      const records = drawn
        .map((one) => recordOf(model, one, `held-${++model.names}`))
        .filter(({ day }) => day >= model.rawFrom && day < dayAgo(model, 0));
      if (records.length === 0) return;
      const work = await world.holding.hold(() =>
        send(world.slow, records, { how: way, key: null, partLines: 20_000 }),
      );
      const { amounts: added, ...outcome } = take(model, records);
      const stored = records.flatMap((sent) => model.records.get(identityText(sent)) ?? []);
      for (const record of stored) record.isBusy = true;
      model.held.push({
        async end(ending) {
          const answer = work.end(ending);
          if (ending === 'commit') {
            expect(await answer).toMatchObject(outcome);
            commit(model, added);
            for (const record of stored) record.isBusy = false;
          } else {
            await expect(answer).rejects.toThrow();
            for (const { sent } of stored) model.records.delete(identityText(sent));
          }
        },
      });
    },
    (model) => model.held.length < 3,
  ),
);

const releasing = fc
  .record({
    which: fc.nat(),
    ending: fc.constantFrom('commit' as const, 'commit' as const, 'rollback' as const, 'cut' as const),
  })
  .map(({ which, ending }) =>
    command(
      `release(${which}, ${ending})`,
      async (model) => {
        const [work] = model.held.splice(which % model.held.length, 1);
        await work?.end(ending);
      },
      (model) => model.held.length > 0,
    ),
  );

const rollingUp = fc.constantFrom(1, 1, 2).map((times) =>
  command(`rollUp(${times})`, async (model, { usage, other }) => {
    const open = model.batches.filter(({ isRolledUp }) => !isRolledUp);
    await Promise.all([usage, other].slice(0, times).map((server) => server.rollup.once()));
    for (const batch of open) batch.isRolledUp = true;
  }),
);

/** Raw days go; what they add up to stays. Everything is rolled up on the way. */
const dropping = fc.integer({ min: 0, max: 6 }).map((daysAgo) =>
  command(
    `drop(${daysAgo})`,
    async (model, { usage, now }) => {
      const before = Math.floor(now / 86_400_000) - daysAgo;
      const report = await usage.dropRaw({ before: before as never, actor: 'oracle' });
      expect(report.refused).toBeNull();
      for (const batch of model.batches) batch.isRolledUp = true;
      const day = dayText(BigInt(before) * dayMicros);
      if (day > model.rawFrom) model.rawFrom = day;
    },
    (model) => model.held.length === 0,
  ),
);

export const intakeCommands = [
  { weight: 6, arbitrary: sending },
  { weight: 3, arbitrary: sendingAgain },
  { weight: 1, arbitrary: reusingKey },
  { weight: 3, arbitrary: sendingAtOnce },
  { weight: 1, arbitrary: sendingCut },
  { weight: 3, arbitrary: holding },
  { weight: 3, arbitrary: releasing },
  { weight: 4, arbitrary: rollingUp },
  { weight: 1, arbitrary: dropping },
];
