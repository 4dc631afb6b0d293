import fc from 'fast-check';
import { expect, test } from 'vitest';
import { generatedTicket } from './ticket-generator.ts';

const all = (count: number, events: number, holders: number) =>
  Array.from({ length: count }, (_, i) => generatedTicket(i + 1, { events, holders }));

test('made-up tickets are the same each time, fill events evenly and give no seat of an event twice', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 400 }),
      fc.integer({ min: 1, max: 30 }),
      fc.integer({ min: 1, max: 100 }),
      (count, events, holders) => {
        const tickets = all(count, events, holders);
        expect(tickets).toEqual(all(count, events, holders));
        expect(new Set(tickets.map(({ event, seat }) => `${event} ${seat}`)).size).toBe(count);
        const sizes = new Map<string, number>();
        for (const { event } of tickets) sizes.set(event, (sizes.get(event) ?? 0) + 1);
        expect(sizes.size).toBe(Math.min(count, events));
        expect(Math.max(...sizes.values()) - Math.min(...sizes.values())).toBeLessThanOrEqual(1);
      },
    ),
  );
});

test('made-up tickets have as many holders as they were asked for, where there are tickets enough', () => {
  expect(new Set(all(20_000, 10, 500).map(({ holder }) => holder)).size).toBe(500);
});
