import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Instant } from '../../core/time.ts';
import { currentGeneration, isRefused, judgeToken, type TokenGeneration } from './ticket-token.ts';

const at = (ms: number) => ms as Instant;
const generation = (
  number: number,
  event: string | null,
  [refusedFrom, createdAt = refusedFrom]: readonly [refusedFrom: number, createdAt?: number],
): TokenGeneration => ({ generation: number, event, refusedFrom: at(refusedFrom), createdAt: at(createdAt) });
const first: TokenGeneration = { generation: 1, event: null, refusedFrom: null, createdAt: at(0) };
const active = { event: 'A', voidedAt: null };
const always = at(1_000_000);

describe('a token', () => {
  test('is unknown when none is stored, whatever the generations', () => {
    expect(judgeToken(null, [first], always)).toBe('unknown');
  });

  test('is valid until its ticket is void', () => {
    expect(judgeToken({ ...active, generation: 1 }, [first], always)).toBe('valid');
    expect(judgeToken({ ...active, generation: 1, voidedAt: at(5) }, [first], always)).toBe('void');
  });

  test('is revoked by a newer generation of all tickets or of its event, by no other', () => {
    const found = { ...active, generation: 1 };
    expect(judgeToken(found, [first, generation(2, null, [10])], always)).toBe('token_rotated');
    expect(judgeToken(found, [first, generation(2, 'A', [10])], always)).toBe('token_rotated');
    expect(judgeToken(found, [first, generation(2, 'B', [10])], always)).toBe('valid');
  });

  test('that is revoked does not tell that its ticket is void', () => {
    const found = { generation: 1, event: 'A', voidedAt: at(5) };
    expect(judgeToken(found, [first, generation(2, null, [10])], always)).toBe('token_rotated');
  });

  test('lasts through a grace to its very end', () => {
    const generations = [first, generation(2, null, [100, 50])];
    const found = { ...active, generation: 1 };
    expect(judgeToken(found, generations, at(99))).toBe('valid');
    expect(judgeToken(found, generations, at(100))).toBe('token_rotated');
    expect(judgeToken({ ...active, generation: 2 }, generations, at(60))).toBe('valid');
  });

  test('loses its grace by a leak in it, and so does the generation that the grace led to', () => {
    const generations = [first, generation(2, null, [100, 50]), generation(3, null, [60])];
    for (const old of [1, 2]) {
      expect(judgeToken({ ...active, generation: old }, generations, at(60))).toBe('token_rotated');
    }
    expect(judgeToken({ ...active, generation: 3 }, generations, at(60))).toBe('valid');
  });

  test('is revoked at once even where the clock of the machine that asks is behind', () => {
    expect(judgeToken({ ...active, generation: 1 }, [first, generation(2, null, [500])], at(0))).toBe('token_rotated');
  });

  test('of a generation that the reader has not seen yet is valid: it is the newest', () => {
    expect(judgeToken({ ...active, generation: 2 }, [first], always)).toBe('valid');
  });
});

describe('the current generation', () => {
  test('is the highest in whose scope the event is', () => {
    const generations = [first, generation(2, 'A', [10]), generation(3, 'B', [20])];
    expect(['A', 'B', 'C'].map((event) => currentGeneration(generations, event))).toEqual([2, 3, 1]);
    const all = [...generations, generation(4, null, [30])];
    expect(['A', 'B', 'C'].map((event) => currentGeneration(all, event))).toEqual([4, 4, 4]);
  });

  test('is missed where there is none', () => {
    expect(() => currentGeneration([generation(2, 'A', [10])], 'B')).toThrow(RangeError);
  });
});

/** What happens to a system, told as an operator would: rotations with their scope and grace, one after the other. */
const rotations = fc.array(
  fc.record({
    afterMs: fc.integer({ min: 1, max: 50 }),
    event: fc.constantFrom(null, 'A', 'B'),
    graceMs: fc.constantFrom(0, 0, 20, 200),
  }),
  { maxLength: 8 },
);

interface Told {
  readonly generations: TokenGeneration[];
  readonly times: number[];
}

function tell(history: readonly { afterMs: number; event: string | null; graceMs: number }[]): Told {
  let now = 0;
  const generations = [first];
  const times = [0];
  for (const { afterMs, event, graceMs } of history) {
    now += afterMs;
    generations.push(generation(generations.length + 1, event, [now + graceMs, now]));
    times.push(now);
  }
  return { generations, times };
}

describe('whatever was rotated', () => {
  test('the token of the current generation is valid, and one of a ticket made just now', () => {
    fc.assert(
      fc.property(
        rotations,
        fc.constantFrom('A', 'B', 'C'),
        fc.integer({ min: 0, max: 1_000 }),
        (history, event, ms) => {
          const { generations, times } = tell(history);
          const current = currentGeneration(generations, event);
          const now = at((times.at(-1) ?? 0) + ms);
          expect(judgeToken({ generation: current, event, voidedAt: null }, generations, now)).toBe('valid');
        },
      ),
    );
  });

  test('a token is revoked exactly once some later rotation of its scope has come and its grace is over', () => {
    const stories = fc.record({
      history: rotations,
      event: fc.constantFrom('A', 'B', 'C'),
      made: fc.nat({ max: 8 }),
      ms: fc.integer({ min: 0, max: 600 }),
    });
    fc.assert(
      fc.property(stories, ({ history, event, made, ms }) => {
        const { generations, times } = tell(history);
        const issued = currentGeneration(generations.slice(0, made + 1), event);
        // By the story alone, without generations: the ticket was made after `made` rotations.
        const now = Math.max(ms, times.at(-1) ?? 0);
        const over = history.some(
          (rotation, i) =>
            i >= made &&
            (rotation.event === null || rotation.event === event) &&
            (times[i + 1] ?? 0) + rotation.graceMs <= now,
        );
        expect(isRefused(generations, { generation: issued, event }, at(now))).toBe(over);
      }),
    );
  });

  test('what is revoked stays revoked, and the order of the list does not matter', () => {
    fc.assert(
      fc.property(
        rotations,
        fc.integer({ min: 1, max: 9 }),
        fc.tuple(fc.nat({ max: 600 }), fc.nat({ max: 600 })),
        (history, number, [a, b]) => {
          const { generations } = tell(history);
          const [early, late] = [Math.min(a, b), Math.max(a, b)].map(at) as [Instant, Instant];
          const token = { generation: number, event: 'A' };
          if (isRefused(generations, token, early)) expect(isRefused(generations, token, late)).toBe(true);
          expect(isRefused([...generations].reverse(), token, late)).toBe(isRefused(generations, token, late));
          const more = [...generations, generation(generations.length + 1, 'B', [late])];
          expect(isRefused(more, token, late)).toBe(isRefused(generations, token, late));
        },
      ),
    );
  });
});
