import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Instant } from '../../core/time.ts';
import { deriveStatus, type StatusEvent, shipmentStatuses } from './shipment-status.ts';

const createdAt = 500 as Instant;

const eventAt = (seq: number, at: number, status: StatusEvent['status']): StatusEvent => ({
  seq,
  code: status,
  status,
  newLeg: false,
  occurredAt: at as Instant,
});
const legAt = (seq: number, at: number, status: StatusEvent['status']): StatusEvent => ({
  ...eventAt(seq, at, status),
  newLeg: true,
});

// Few instants, so that ties are many.
const events = fc
  .array(
    fc.record({ at: fc.integer({ min: 0, max: 6 }), status: fc.constantFrom(...shipmentStatuses), leg: fc.boolean() }),
    { maxLength: 12 },
  )
  .map((rows) =>
    rows.map(({ at, status, leg }, i) =>
      // Nobody understands `unknown` and delivered ends a leg: neither begins one.
      leg && status !== 'unknown' && status !== 'delivered' ? legAt(i + 1, at, status) : eventAt(i + 1, at, status),
    ),
  );

const isBefore = (a: StatusEvent, b: StatusEvent): boolean =>
  a.occurredAt < b.occurredAt || (a.occurredAt === b.occurredAt && a.seq < b.seq);

/** Without folding: an event counts unless a delivery lies before it with no new leg between; the newest that counts decides. */
function oracle(all: readonly StatusEvent[]): StatusEvent | null {
  const newest = (some: readonly StatusEvent[]) =>
    some.find((event) => some.every((other) => other === event || isBefore(other, event))) ?? null;
  const understood = all.filter(({ status }) => status !== 'unknown');
  const counts = understood.filter(
    (event) =>
      event.status === 'delivered' ||
      event.newLeg ||
      !understood.some(
        (delivery) =>
          delivery.status === 'delivered' &&
          isBefore(delivery, event) &&
          !understood.some((leg) => leg.newLeg && isBefore(delivery, leg) && isBefore(leg, event)),
      ),
  );
  return newest(counts) ?? newest(all);
}

describe('the status that events give', () => {
  test('is that of a brute-force oracle, whatever order they come in', () => {
    fc.assert(
      fc.property(events, fc.infiniteStream(fc.nat()), (all, lots) => {
        const shuffled = all.map((event) => ({ event, lot: lots.next().value })).sort((a, b) => a.lot - b.lot);
        const state = deriveStatus(
          shuffled.map(({ event }) => event),
          createdAt,
        );
        const winner = oracle(all);
        expect(state.status).toBe(winner?.status ?? 'pre_transit');
        expect(state.decidedBy?.seq ?? null).toBe(winner?.seq ?? null);
        expect(state.lastSeq).toBe(all.length);
      }),
      { numRuns: 2_000 },
    );
  });

  test('never leaves a known status for an unknown one', () => {
    fc.assert(
      fc.property(events, (all) => {
        const known = all.filter(({ status }) => status !== 'unknown');
        fc.pre(known.length > 0);
        const { lastSeq: _all, ...withUnknown } = deriveStatus(all, createdAt);
        const { lastSeq: _known, ...without } = deriveStatus(known, createdAt);
        expect(withUnknown).toEqual(without);
      }),
    );
  });

  test('without events it is announced and no more', () => {
    expect(deriveStatus([], createdAt)).toEqual({
      status: 'pre_transit',
      decidedBy: null,
      lastSeq: 0,
      movedAt: createdAt,
    });
  });

  test('delivered stays delivered when a transit scan is stamped later', () => {
    const state = deriveStatus([eventAt(1, 10, 'delivered'), eventAt(2, 20, 'in_transit')], createdAt);
    expect(state).toMatchObject({ status: 'delivered', decidedBy: { seq: 1, occurredAt: 10 }, lastSeq: 2 });
  });

  test('a return begins a new leg, and what follows decides again', () => {
    const back = [eventAt(1, 10, 'delivered'), legAt(2, 20, 'returning'), eventAt(3, 30, 'in_transit')];
    expect(deriveStatus(back.slice(0, 2), createdAt).status).toBe('returning');
    expect(deriveStatus(back, createdAt).status).toBe('in_transit');
    expect(deriveStatus([...back, legAt(4, 40, 'returned')], createdAt).status).toBe('returned');
  });

  test('of two at the same instant the one that was recorded later decides', () => {
    expect(deriveStatus([eventAt(1, 10, 'in_transit'), eventAt(2, 10, 'exception')], createdAt).status).toBe(
      'exception',
    );
  });

  test('labels, troubles and unknown words do not move a parcel', () => {
    const all = [eventAt(1, 10, 'in_transit'), eventAt(2, 20, 'exception'), eventAt(3, 30, 'unknown')];
    expect(deriveStatus(all, createdAt).movedAt).toBe(10);
    expect(deriveStatus([eventAt(1, 10, 'pre_transit')], createdAt).movedAt).toBe(createdAt);
  });
});
