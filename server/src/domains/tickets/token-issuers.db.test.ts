import { beforeEach, describe, expect, test } from 'vitest';
import type { TicketId } from '../../core/ids.ts';
import { createTestClient } from '../../testing/open-database.ts';
import { clearTickets, cutOff, openTestTickets, ticketToWrite } from '../../testing/test-tickets.ts';
import { insertByCopy } from './ticket-batch-service.ts';
import { placeTicket } from './ticket-placement.ts';
import { findIssuers, generationsForIssue } from './token-generations-service.ts';

const { db, url, clock, tickets } = await openTestTickets();

beforeEach(() => clearTickets(db));

/** A transaction that stands still where the test says. */
function pausable() {
  const gates = new Map<string, { reached: Promise<void>; reach: () => void; go: () => void; open: Promise<void> }>();
  const gate = (name: string) => {
    const known = gates.get(name);
    if (known !== undefined) return known;
    let reach = (): void => {};
    let go = (): void => {};
    const reached = new Promise<void>((resolve) => {
      reach = resolve;
    });
    const open = new Promise<void>((resolve) => {
      go = resolve;
    });
    const made = { reached, reach, go, open };
    gates.set(name, made);
    return made;
  };
  return {
    async stop(name: string) {
      gate(name).reach();
      await gate(name).open;
    },
    reached: (name: string) => gate(name).reached,
    go: (name: string) => gate(name).go(),
  };
}

describe('a cut-off', () => {
  test('waits for no issuer; whoever did not see it is found until it has ended, and then its tickets are seen', async () => {
    const at = pausable();
    const placed = placeTicket(ticketToWrite().ticket, null, { now: clock.now() });
    const other = createTestClient(url);
    const issuing = other.transaction(async (tx) => {
      await generationsForIssue(tx);
      await at.stop('read');
      await insertByCopy(tx, [placed]);
      await at.stop('inserted');
    });
    await at.reached('read');
    await cutOff(db);
    const [issuer] = await findIssuersNow();
    expect(issuer).toEqual({ transaction: expect.any(String), pid: expect.any(Number) });
    at.go('read');
    await at.reached('inserted');
    expect(await findIssuersNow()).toEqual([issuer]);
    at.go('inserted');
    await issuing;
    await other.close();
    expect(await findIssuersNow()).toEqual([]);
    expect(await tickets.getTicket(placed.ticket.ticketId)).toEqual(placed.ticket);
  });

  test('is seen by every issuer that asks after it', async () => {
    const generation = await cutOff(db);
    const seen = await db.transaction(async (tx) => (await generationsForIssue(tx)).map((one) => one.generation));
    expect(seen).toEqual([1, generation]);
  });

  test('finds no issuer in those who only read: a question at the door, or a dump of the database', async () => {
    const at = pausable();
    const { ticket } = await tickets.createTicket(ticketToWrite());
    const dumping = db.transaction(async (tx) => {
      await tx.run({ text: 'lock table token_generations, ticket_tokens, tickets in access share mode', values: [] });
      await at.stop('locked');
    });
    await at.reached('locked');
    await tickets.verifyToken(await tickets.getToken(ticket.ticketId as TicketId));
    expect(await findIssuersNow()).toEqual([]);
    at.go('locked');
    await dumping;
  });
});

const findIssuersNow = () => db.transaction((tx) => findIssuers(tx));
