import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Bucket } from '../../core/bucket.ts';
import { lowestIdAt, newOrderId, type OrderId } from '../../core/ids.ts';
import { type Instant, type Month, startOfMonth } from '../../core/time.ts';
import { type Direction, type IdSpan, idSpan, spanAfter, windowsOf } from './order-walk.ts';

const first = 1995 * 12;
const months = fc.array(fc.integer({ min: first, max: first + 400 }) as fc.Arbitrary<Month>, { maxLength: 60 });
const instants = fc.integer({ min: 0, max: 4e12 }) as fc.Arbitrary<Instant>;
const ids = fc
  .tuple(instants, fc.integer({ min: 0, max: 4095 }))
  .map(([at, bucket]) => newOrderId(at, bucket as Bucket));
const spans = fc.tuple(fc.option(instants), fc.option(instants)).map(([from, to]) => idSpan(from, to));
const directions = fc.constantFrom<Direction>('newest', 'oldest');
const contains = ({ from, to }: IdSpan, id: OrderId) => from <= id && id < to;

describe('windowsOf', () => {
  test('covers the span exactly, edge to edge, in the direction of the walk, for any hint of months', () => {
    const hints = fc.record({ months, direction: directions, firstMonths: fc.integer({ min: 1, max: 40 }) });
    fc.assert(
      fc.property(spans, hints, (span, hint) => {
        const windows = [...windowsOf(span, hint)];
        if (span.from >= span.to) {
          expect(windows).toEqual([]);
          return;
        }
        if (hint.direction === 'newest') windows.reverse();
        expect(windows[0]?.from).toBe(span.from);
        expect(windows.at(-1)?.to).toBe(span.to);
        for (const [i, window] of windows.entries()) {
          expect(window.from < window.to).toBe(true);
          if (i > 0) expect(window.from).toBe(windows[i - 1]?.to);
        }
      }),
    );
  });

  test('begins with the first months and doubles', () => {
    const ready = Array.from({ length: 28 }, (_, i) => (2024 * 12 + i) as Month);
    const widths = (direction: Direction) =>
      [...windowsOf(idSpan(null, null), { months: ready, direction, firstMonths: 4 })].map(
        ({ from, to }) =>
          ready.filter((month) => from <= lowestIdAt(startOfMonth(month)) && lowestIdAt(startOfMonth(month)) < to)
            .length,
      );
    expect(widths('newest')).toEqual([4, 8, 16]);
    expect(widths('oldest').reduce((sum, width) => sum + width)).toBe(28);
    expect(widths('oldest')[0]).toBe(4);
  });
});

describe('idSpan', () => {
  test('holds exactly the ids placed in the half-open range', () => {
    fc.assert(
      fc.property(
        fc.option(instants),
        fc.option(instants),
        fc.tuple(instants, fc.integer({ min: -1, max: 1 })),
        (from, to, [at, near]) => {
          // Half of the ids lie at the edges, where it matters.
          const placed = near === 0 ? at : (Math.max(0, (from ?? to ?? at) + near) as Instant);
          const id = newOrderId(placed, 7 as Bucket);
          expect(contains(idSpan(from, to), id)).toBe(
            (from === null || placed >= from) && (to === null || placed < to),
          );
        },
      ),
    );
  });
});

describe('spanAfter', () => {
  test('leaves exactly what lies behind the id', () => {
    fc.assert(
      fc.property(spans, fc.tuple(ids, ids), directions, (span, [after, other], direction) => {
        const rest = spanAfter(span, after, direction);
        expect(contains(rest, after)).toBe(false);
        const isBehind = direction === 'newest' ? other < after : other > after;
        expect(contains(rest, other)).toBe(contains(span, other) && isBehind);
      }),
    );
  });

  test('takes the very next id, with a carry over all digits', () => {
    const after = '0197c0f0-1234-7abc-bfff-ffffffffffff' as OrderId;
    expect(spanAfter(idSpan(null, null), after, 'oldest').from).toBe('0197c0f0-1234-7abc-c000-000000000000');
  });
});
