import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { bucketOf } from '../../core/bucket.ts';
import { bucketOfId, type TicketId, timeOfId } from '../../core/ids.ts';
import { dynamic, sql } from '../../storage/sql.ts';
import { openCommitCutter } from '../../testing/commit-cutter.ts';
import { createTestClient } from '../../testing/open-database.ts';
import { testNow } from '../../testing/test-clock.ts';
import {
  clearTickets,
  cutOff,
  openTestTickets,
  ticketInconsistencies,
  ticketToWrite,
} from '../../testing/test-tickets.ts';
import type { TicketOutcome, WriteMethod } from './ticket-batch-service.ts';
import { createTicketWriter, type TicketToWrite } from './ticket-write-service.ts';

const { db, url, clock, tickets } = await openTestTickets();
const methods: WriteMethod[] = ['insert', 'copy'];
const write = (rows: readonly TicketToWrite[], by: WriteMethod = 'insert') => tickets.writer.write(rows, { by });
const idOf = (outcome: TicketOutcome | undefined): TicketId | null =>
  outcome === undefined ? null : outcome.kind === 'created' ? outcome.ticket.ticketId : outcome.ticketId;
const kindsOf = (outcomes: readonly TicketOutcome[]) => outcomes.map(({ kind }) => kind);
const counts = async () => {
  const [row] = await db.query(
    dynamic<{ tickets: number; tokens: number }>(
      sql`select (select count(*)::int from tickets) as tickets, (select count(*)::int from ticket_tokens) as tokens`,
    ),
  );
  return row;
};
const generationsOf = (id: TicketId) =>
  db.query(dynamic<{ generation: number }>(sql`select generation from ticket_tokens where ticket_id = ${id}`));

beforeEach(async () => {
  clock.set(testNow);
  await clearTickets(db);
});
afterEach(async () => {
  expect(await ticketInconsistencies(db)).toEqual([]);
});

describe.each(methods)('a ticket written by %s', (by) => {
  test('is stored as it was sent, with its home, its key and a token', async () => {
    const sent = { holder: 'Zoë\t"x" \\ 漢字 🛒\n', event: '\\N', ticketNumber: 'NULL', seat: 'A\t1' };
    const [outcome] = await write([ticketToWrite(sent)], by);
    if (outcome?.kind !== 'created') throw new Error('not created');
    const { ticketId } = outcome.ticket;
    expect(outcome.ticket).toEqual({
      ...sent,
      ticketId,
      createdAt: testNow,
      voidedAt: null,
      voidedBy: null,
      voidReason: null,
    });
    expect(await tickets.getTicket(ticketId)).toEqual(outcome.ticket);
    expect([timeOfId(ticketId), bucketOfId(ticketId)]).toEqual([testNow, bucketOf(sent.holder)]);
    expect(await tickets.verifyToken(await tickets.getToken(ticketId))).toEqual({
      verdict: 'valid',
      ticket: outcome.ticket,
    });
  });

  test('sent again is a replay; with another content it is refused, and says whose key it was', async () => {
    const [first] = await write([ticketToWrite({ ticketNumber: '1' })], by);
    const [again, other] = await write(
      [ticketToWrite({ ticketNumber: '1' }), ticketToWrite({ ticketNumber: '1', seat: 'B' })],
      by,
    );
    expect(again).toEqual({ kind: 'replayed', ticketId: idOf(first) });
    expect(other).toEqual({ kind: 'refused', code: 'ticket_key_reused', ticketId: idOf(first) });
    expect(await counts()).toEqual({ tickets: 1, tokens: 1 });
  });

  test('is written once when it stands in its batch twice, and found among new ones', async () => {
    const outcomes = await write(
      ['1', '2', '1'].map((ticketNumber) => ticketToWrite({ ticketNumber })),
      by,
    );
    expect(kindsOf(outcomes)).toEqual(['created', 'created', 'replayed']);
    expect(idOf(outcomes[2])).toBe(idOf(outcomes[0]));
    const more = await write(
      ['3', '2', '4'].map((ticketNumber) => ticketToWrite({ ticketNumber })),
      by,
    );
    expect(kindsOf(more)).toEqual(['created', 'replayed', 'created']);
    expect(await counts()).toEqual({ tickets: 4, tokens: 4 });
  });

  test('has its number, its Idempotency-Key and those of other holders apart; without a key it is new each time', async () => {
    const outcomes = await write(
      [
        ticketToWrite({ ticketNumber: 'k' }),
        ticketToWrite({}, 'k'),
        ticketToWrite({ holder: 'G' }, 'k'),
        ticketToWrite({}, 'k'),
        ticketToWrite(),
        ticketToWrite(),
      ],
      by,
    );
    expect(kindsOf(outcomes)).toEqual(['created', 'created', 'created', 'replayed', 'created', 'created']);
  });

  test('gets the generation of its event', async () => {
    const two = await cutOff(db, { event: 'A' });
    const three = await cutOff(db, { event: 'B', graceMs: 60_000 });
    const outcomes = await write(
      ['A', 'B', 'C'].map((event) => ticketToWrite({ event })),
      by,
    );
    const found = await Promise.all(outcomes.map((outcome) => generationsOf(idOf(outcome) as TicketId)));
    expect(found).toEqual([[{ generation: two }], [{ generation: three }], [{ generation: 1 }]]);
    const four = await cutOff(db);
    const [after] = await write([ticketToWrite({ event: 'A' })], by);
    expect(await generationsOf(idOf(after) as TicketId)).toEqual([{ generation: four }]);
  });

  test.each(['before', 'after'] as const)('is written once when its connection is lost %s COMMIT', async (when) => {
    const cutter = await openCommitCutter(url);
    const other = createTestClient(cutter.url);
    try {
      const writer = createTicketWriter({ db: other, clock });
      cutter.cutNextCommit(when);
      const outcomes = await writer.write([ticketToWrite({ ticketNumber: '1' }), ticketToWrite({ seat: 'keyless' })], {
        by,
      });
      expect(kindsOf(outcomes)).toEqual(['created', 'created']);
      for (const outcome of outcomes) await tickets.getToken(idOf(outcome) as TicketId);
      expect(await counts()).toEqual({ tickets: 2, tokens: 2 });
    } finally {
      await other.close();
      await cutter.close();
    }
  });

  test('by two writers at once is one ticket for each key', async () => {
    const rows = Array.from({ length: 200 }, (_, i) => ticketToWrite({ holder: `H${i % 17}`, ticketNumber: `${i}` }));
    const [left, right] = await Promise.all([write(rows, by), write([...rows].reverse(), by)]);
    expect(left.map(idOf)).toEqual([...right].reverse().map(idOf));
    const kinds = [...kindsOf(left), ...kindsOf(right)];
    expect(kinds.filter((kind) => kind === 'created')).toHaveLength(200);
    expect(kinds.filter((kind) => kind === 'replayed')).toHaveLength(200);
    expect(await counts()).toEqual({ tickets: 200, tokens: 200 });
  });
});

test('single tickets at once share transactions, and each caller gets its own', async () => {
  const created = await Promise.all(
    Array.from({ length: 300 }, (_, i) =>
      tickets.createTicket(ticketToWrite({ holder: `H${i}`, ticketNumber: `${i % 150}` })),
    ),
  );
  expect(created.every(({ ticket }, i) => ticket.holder === `H${i}`)).toBe(true);
  expect(await counts()).toEqual({ tickets: 300, tokens: 300 });
  await expect(
    tickets.createTicket(ticketToWrite({ holder: 'H1', ticketNumber: '1', seat: 'other' })),
  ).rejects.toMatchObject({
    code: 'ticket_key_reused',
    facts: { ticket_id: created[1]?.ticket.ticketId },
  });
  expect((await tickets.createTicket(ticketToWrite({ holder: 'H1', ticketNumber: '1' }))).replayed).toBe(true);
});

test('tickets of one transaction get their tokens of the generations that were there when it asked, and of no older ones', async () => {
  const writes = Array.from({ length: 20 }, (_, i) => write([ticketToWrite({ holder: `H${i}` })]));
  const generation = await cutOff(db);
  await Promise.all(writes);
  const late = await write([ticketToWrite({ holder: 'late' })]);
  expect(await generationsOf(idOf(late[0]) as TicketId)).toEqual([{ generation }]);
});
