import fc from 'fast-check';
import { beforeEach, describe, expect, test } from 'vitest';
import type { Bucket } from '../../core/bucket.ts';
import { bucketOfId, newTicketId, parseTicketToken, type TicketId, type TicketToken } from '../../core/ids.ts';
import { dynamic, sql } from '../../storage/sql.ts';
import { testNow } from '../../testing/test-clock.ts';
import { clearTickets, cutOff, openTestTickets, ticketToWrite } from '../../testing/test-tickets.ts';
import { newTicketToken } from '../../testing/test-tokens.ts';
import type { NewTicket } from './ticket.ts';

const { db, clock, tickets } = await openTestTickets();
const make = async (more: Partial<NewTicket> = {}) => (await tickets.createTicket(ticketToWrite(more))).ticket;
const unknownId = newTicketId(testNow, 7 as Bucket);
const verdictOf = async (token: string) => (await tickets.verifyToken(token)).verdict;
/** What the rotation's job does for one ticket. */
const issue = (id: TicketId, generation: number) =>
  db.query(
    dynamic(
      sql`insert into ticket_tokens select ticket_id, bucket, ${generation}, new_ticket_token(bucket) from tickets where ticket_id = ${id}`,
    ),
  );

beforeEach(async () => {
  clock.set(testNow);
  await clearTickets(db);
});

test('tokens have the form that is read here: version, variant and bucket, all other bits random', async () => {
  const rows = await db.query(
    dynamic<{ bucket: Bucket; token: string; back: number }>(
      sql`select bucket, token::text, bucket_of_id(token) as back
            from (select bucket::int, new_ticket_token(bucket::int) as token from generate_series(0, 4095) bucket) made`,
    ),
  );
  expect(rows).toHaveLength(4096);
  for (const { bucket, token, back } of rows) {
    const parsed = parseTicketToken(token);
    expect(parsed).toBe(token);
    expect([bucketOfId(parsed as TicketToken), back]).toEqual([bucket, bucket]);
  }
  const values = rows.map(({ token }) => BigInt(`0x${token.replaceAll('-', '')}`) & ~(0xfffn << 64n));
  const ever = values.reduce((all, value) => all | value, 0n);
  const always = values.reduce((all, value) => all & value, 2n ** 128n - 1n);
  expect((ever ^ always).toString(2).replaceAll('0', '')).toHaveLength(110);
  expect(new Set(rows.map(({ token }) => token)).size).toBe(4096);
  const ours = newTicketToken(0xabc as Bucket);
  const [same] = await db.query(dynamic<{ bucket: number }>(sql`select bucket_of_id(${ours}::uuid) as bucket`));
  expect(same?.bucket).toBe(0xabc);
});

describe('a token', () => {
  test('opens its ticket, in capital letters too, and nothing else does', async () => {
    const ticket = await make();
    const token = await tickets.getToken(ticket.ticketId);
    expect(await tickets.verifyToken(token)).toEqual({ verdict: 'valid', ticket });
    expect(await verdictOf(token.toUpperCase())).toBe('valid');
    const sameBucket = newTicketToken(bucketOfId(token));
    for (const other of [
      sameBucket,
      newTicketToken(9 as Bucket),
      ticket.ticketId,
      '',
      'x',
      `${token} `,
      `${token}\u0000`,
    ])
      expect(await tickets.verifyToken(other)).toEqual({ verdict: 'unknown', ticket: null });
  });

  test('of a rotated generation is told as such and shows nothing of its ticket, before and after the new one is issued', async () => {
    const ticket = await make();
    const old = await tickets.getToken(ticket.ticketId);
    const generation = await cutOff(db);
    expect(await tickets.verifyToken(old)).toEqual({ verdict: 'token_rotated', ticket: null });
    await expect(tickets.getToken(ticket.ticketId)).rejects.toMatchObject({ code: 'token_not_issued' });
    await issue(ticket.ticketId, generation);
    const renewed = await tickets.getToken(ticket.ticketId);
    expect(renewed).not.toBe(old);
    expect([await verdictOf(old), await verdictOf(renewed)]).toEqual(['token_rotated', 'valid']);
    await db.query(dynamic(sql`drop table ticket_tokens_0`));
    expect([await verdictOf(old), await verdictOf(renewed)]).toEqual(['unknown', 'valid']);
    await db.query(
      dynamic(sql`create table ticket_tokens_0 partition of ticket_tokens for values from (0) to (100000)`),
    );
  });

  test('of another event is left alone', async () => {
    const [a, b] = [await make({ event: 'A' }), await make({ event: 'B' })];
    const [ofA, ofB] = [await tickets.getToken(a.ticketId), await tickets.getToken(b.ticketId)];
    await cutOff(db, { event: 'A' });
    expect([await verdictOf(ofA), await verdictOf(ofB)]).toEqual(['token_rotated', 'valid']);
    expect(await tickets.getToken(b.ticketId)).toBe(ofB);
  });

  test('and its successor are both good during a grace; the newest one is given out', async () => {
    const ticket = await make();
    const old = await tickets.getToken(ticket.ticketId);
    clock.set(Date.now());
    const generation = await cutOff(db, { graceMs: 3_600_000 });
    expect(await tickets.getToken(ticket.ticketId)).toBe(old);
    await issue(ticket.ticketId, generation);
    const renewed = await tickets.getToken(ticket.ticketId);
    expect(renewed).not.toBe(old);
    expect([await verdictOf(old), await verdictOf(renewed)]).toEqual(['valid', 'valid']);
    clock.set(Date.now() + 3_700_000);
    expect([await verdictOf(old), await verdictOf(renewed)]).toEqual(['token_rotated', 'valid']);
  });

  test('is dead from the commit of a cut-off on, however slow the clock of the server is', async () => {
    const token = await tickets.getToken((await make()).ticketId);
    clock.set(0);
    await cutOff(db);
    expect(await verdictOf(token)).toBe('token_rotated');
  });

  test('is never found valid by a question that comes after the cut-off, among many at once', async () => {
    const token = await tickets.getToken((await make()).ticketId);
    let cut = false;
    const asking = Array.from({ length: 8 }, async () => {
      let last = false;
      for (let i = 0; i < 60; i++) {
        const cutBefore = cut;
        const verdict = await verdictOf(token);
        if (cutBefore) expect(verdict).toBe('token_rotated');
        last = verdict === 'token_rotated';
        if (last) break;
      }
      while (!cut) await new Promise((resolve) => setImmediate(resolve));
      expect(await verdictOf(token)).toBe('token_rotated');
    });
    await cutOff(db);
    cut = true;
    await Promise.all(asking);
  });

  test('of a void ticket is void, and is given out no more', async () => {
    const ticket = await make();
    const token = await tickets.getToken(ticket.ticketId);
    const voided = await tickets.voidTicket({ ticketId: ticket.ticketId, reason: 'refunded', actor: 'test' });
    expect(await tickets.verifyToken(token)).toEqual({ verdict: 'void', ticket: voided });
    await expect(tickets.getToken(ticket.ticketId)).rejects.toMatchObject({ code: 'ticket_void' });
    await cutOff(db);
    expect(await tickets.verifyToken(token)).toEqual({ verdict: 'token_rotated', ticket: null });
  });

  test('of a ticket that is not there is asked for in vain', async () => {
    await expect(tickets.getToken(unknownId)).rejects.toMatchObject({ code: 'ticket_not_found' });
    await expect(tickets.getTicket(unknownId)).rejects.toMatchObject({ code: 'ticket_not_found' });
  });
});

describe('voiding', () => {
  test('happens once: later ones, and those at the same time, find it as the first left it', async () => {
    const ticket = await make();
    const voidIt = (reason: string | null) =>
      tickets.voidTicket({ ticketId: ticket.ticketId, reason, actor: `by ${reason}` });
    const first = await Promise.all(['a', 'b', 'c'].map(voidIt));
    expect(new Set(first.map((one) => JSON.stringify(one))).size).toBe(1);
    clock.set(testNow + 5_000);
    expect(await voidIt('later')).toEqual(first[0]);
    expect(first[0]).toMatchObject({ voidedAt: testNow, voidedBy: expect.stringMatching(/^by [abc]$/) });
    await expect(tickets.voidTicket({ ticketId: unknownId, reason: null, actor: 'x' })).rejects.toMatchObject({
      code: 'ticket_not_found',
    });
  });
});

interface Walk {
  readonly event: string | null;
  readonly holder: string | null;
  readonly direction: 'newest' | 'oldest';
  readonly limit: number;
}

describe('lists', () => {
  const walk = async ({ direction, limit, ...filter }: Walk) => {
    const seen: TicketId[] = [];
    for (let after: TicketId | null = null; ; ) {
      const page = await tickets.listTickets({ filter, direction, limit, after });
      expect(page.items.length).toBeLessThanOrEqual(limit);
      seen.push(...page.items.map(({ ticketId }) => ticketId));
      if (page.next === null) return seen;
      after = page.next;
    }
  };

  test('by event, by holder and by both hold exactly what belongs there, in order, whatever the page size', async () => {
    const made: { id: TicketId; event: string; holder: string }[] = [];
    for (let i = 0; i < 120; i++) {
      clock.set(testNow + Math.floor(i / 3));
      const [event, holder] = [`E${i % 3}`, `H${i % 4}`];
      made.push({ id: (await make({ event, holder })).ticketId, event, holder });
    }
    await fc.assert(
      fc.asyncProperty(
        fc.record({
          event: fc.constantFrom('E0', 'E2', 'none', null),
          holder: fc.constantFrom('H0', 'H3', 'none', null),
          direction: fc.constantFrom('newest' as const, 'oldest' as const),
          limit: fc.integer({ min: 1, max: 60 }),
        }),
        async ({ event, holder, direction, limit }) => {
          if (event === null && holder === null) return;
          const expected = made
            .filter((one) => (event === null || one.event === event) && (holder === null || one.holder === holder))
            .map(({ id }) => id)
            .sort();
          if (direction === 'newest') expected.reverse();
          expect(await walk({ event, holder, direction, limit })).toEqual(expected);
        },
      ),
      { numRuns: 40 },
    );
  });

  test('need an event or a holder', async () => {
    const filter = { event: null, holder: null };
    await expect(tickets.listTickets({ filter, direction: 'newest', limit: 1, after: null })).rejects.toThrow(
      RangeError,
    );
  });
});
