import { expect, test } from 'vitest';
import { openTestTickets, ticketInconsistencies, ticketToWrite } from '../testing/test-tickets.ts';
import { loadSampleTickets } from './load-sample-tickets.ts';

const { db, tickets } = await openTestTickets();

test('sample tickets are loaded once, by two servers at once too, and never beside those of somebody', async () => {
  const reported: string[] = [];
  const load = () => loadSampleTickets({ tickets }, { report: (text) => void reported.push(text) });
  await Promise.all([load(), load()]);
  expect(reported).toEqual(['loaded 300 sample tickets of 3 events']);
  await load();
  expect(reported).toHaveLength(1);
  const filter = { event: 'jazz-night', holder: null };
  const { items } = await tickets.listTickets({ filter, direction: 'newest', limit: 500, after: null });
  expect(items).toHaveLength(100);
  expect(new Set(items.map(({ seat }) => seat)).size).toBe(100);
  const some = await tickets.findSomeTicket();
  expect(some === null ? null : (await tickets.verifyToken(await tickets.getToken(some))).verdict).toBe('valid');
  expect(await ticketInconsistencies(db)).toEqual([]);
  const own = await tickets.createTicket(ticketToWrite());
  expect(own.replayed).toBe(false);
});
