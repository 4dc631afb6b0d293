import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { keepLooking, type Looking } from './keep-looking.ts';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const everyMs = 1_000;

/** Looks that end when the test says so. */
function controlled(first: 'now' | 'later') {
  const ends: { ok(): void; fail(error: Error): void }[] = [];
  const warnings: object[] = [];
  const looking: Looking = keepLooking(() => new Promise<void>((ok, fail) => void ends.push({ ok, fail })), {
    everyMs,
    first,
    failure: 'cannot look',
    logger: { warn: (fields, text) => void warnings.push({ ...fields, text }) },
  });
  return { ends, warnings, looking };
}

describe('keepLooking', () => {
  test('looks at once or only later, then at every interval', async () => {
    const now = controlled('now');
    const later = controlled('later');
    expect([now.ends.length, later.ends.length]).toEqual([1, 0]);
    now.ends[0]?.ok();
    await vi.advanceTimersByTimeAsync(everyMs);
    expect([now.ends.length, later.ends.length]).toEqual([2, 1]);
  });

  test('has one look under way at a time', async () => {
    const { ends } = controlled('now');
    await vi.advanceTimersByTimeAsync(5 * everyMs);
    expect(ends).toHaveLength(1);
    ends[0]?.ok();
    await vi.advanceTimersByTimeAsync(everyMs);
    expect(ends).toHaveLength(2);
  });

  test('tells of a look that failed and goes on', async () => {
    const { ends, warnings } = controlled('now');
    const err = new Error('away');
    ends[0]?.fail(err);
    await vi.advanceTimersByTimeAsync(everyMs);
    expect(warnings).toEqual([{ err, text: 'cannot look' }]);
    expect(ends).toHaveLength(2);
  });

  test('closed, waits for the look under way and begins no other', async () => {
    const { ends, looking } = controlled('now');
    let closed = false;
    const closing = looking.close().then(() => {
      closed = true;
    });
    await vi.advanceTimersByTimeAsync(3 * everyMs);
    expect(closed).toBe(false);
    ends[0]?.ok();
    await closing;
    await vi.advanceTimersByTimeAsync(3 * everyMs);
    expect(ends).toHaveLength(1);
  });
});
