import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { dayMs, type Instant, type PlainDate, plainDateOf } from '../../core/time.ts';
import { shipmentRow } from '../../testing/test-shipment-rows.ts';
import { attentionFrom, attentionOf, defaultSilentMs } from './shipment-attention.ts';
import { isEnded, shipmentStatuses } from './shipment-status.ts';

const at = (text: string) => Date.parse(text) as Instant;
const now = at('2026-11-21T10:00:00Z');
const silentMs = defaultSilentMs;
const expected = (day: string) => day as PlainDate;

describe('needs attention', () => {
  test('a shipment that moves in time does not', () => {
    const shipment = shipmentRow({ status: 'in_transit', movedAt: now, expectedOn: expected('2026-11-21') });
    expect(attentionOf(shipment, { now, silentMs })).toEqual([]);
  });

  test('an exception does at once', () => {
    expect(attentionOf(shipmentRow({ status: 'exception', movedAt: now }), { now, silentMs })).toEqual(['exception']);
  });

  test('silence begins with the very millisecond', () => {
    const silent = (movedAt: number) => attentionOf(shipmentRow({ movedAt: movedAt as Instant }), { now, silentMs });
    expect(silent(now - silentMs)).toEqual(['silent']);
    expect(silent(now - silentMs + 1)).toEqual([]);
  });

  test('the expected day is over at midnight UTC', () => {
    const shipment = shipmentRow({ movedAt: now, expectedOn: expected('2026-11-21') });
    expect(attentionOf(shipment, { now: at('2026-11-21T23:59:59.999Z'), silentMs })).toEqual([]);
    expect(attentionOf(shipment, { now: at('2026-11-22T00:00:00Z'), silentMs })).toEqual(['late']);
  });

  test('all reasons are named; what has ended has none', () => {
    const troubled = shipmentRow({
      status: 'exception',
      movedAt: (now - 9 * dayMs) as Instant,
      expectedOn: expected('2026-11-01'),
    });
    expect(attentionOf(troubled, { now, silentMs })).toEqual(['exception', 'silent', 'late']);
    for (const status of ['delivered', 'returned', 'cancelled'] as const)
      expect(attentionOf({ ...troubled, status }, { now, silentMs })).toEqual([]);
  });
});

test('by the default silence there is a reason exactly from attentionFrom on', () => {
  const days = fc.integer({ min: -20, max: 20 });
  const some = fc.record({
    status: fc.constantFrom(...shipmentStatuses),
    moved: days,
    expectedDay: fc.option(days),
    since: days,
  });
  fc.assert(
    fc.property(some, ({ status, moved, expectedDay, since }) => {
      const shipment = shipmentRow({
        status,
        decidedBy: { seq: 1, code: status, occurredAt: (now + since * dayMs + 7) as Instant },
        movedAt: (now + moved * dayMs) as Instant,
        expectedOn: expectedDay === null ? null : plainDateOf((now + expectedDay * dayMs) as Instant),
      });
      const from = attentionFrom(shipment);
      const before = attentionOf(shipment, { now: (from - 1) as Instant, silentMs });
      const then = attentionOf(shipment, { now: from, silentMs });
      // An exception is one whenever it is looked at: from says since when.
      if (status !== 'exception') expect(before).toEqual([]);
      expect(then.length > 0).toBe(!isEnded(status));
    }),
  );
});
