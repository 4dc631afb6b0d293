import { expect, test } from 'vitest';
import { forEachParallel } from './parallel.ts';

async function* upTo(count: number, made: number[] = []) {
  for (let i = 0; i < count; i++) {
    made.push(i);
    yield i;
  }
}

/** Work that ends when the test says so. */
function gates() {
  const open = new Map<number, () => void>();
  return { open, work: (item: number) => new Promise<void>((resolve) => open.set(item, resolve)) };
}

test('no more than the width is under way and the source is not read ahead of it', async () => {
  const made: number[] = [];
  const { open, work } = gates();
  const done = forEachParallel(upTo(4, made), 2, work);
  await expect.poll(() => open.size).toBe(2);
  expect(made).toEqual([0, 1]);
  open.get(1)?.();
  await expect.poll(() => open.size).toBe(3);
  for (const i of [0, 2]) open.get(i)?.();
  await expect.poll(() => open.size).toBe(4);
  open.get(3)?.();
  await done;
});

test('the first error ends it when the rest under way has ended, and the source is let go', async () => {
  let closed = false;
  async function* source() {
    try {
      yield* [1, 2, 3, 4];
    } finally {
      closed = true;
    }
  }
  const begun: number[] = [];
  const failing = forEachParallel(source(), 2, async (item) => {
    begun.push(item);
    if (item === 2) throw new Error('no');
  });
  await expect(failing).rejects.toThrow('no');
  expect(begun).not.toContain(4);
  expect(closed).toBe(true);
});

test('an error of the source is thrown after the work under way has ended', async () => {
  let ended = false;
  async function* source() {
    yield 1;
    throw new Error('source');
  }
  const failing = forEachParallel(source(), 2, async () => {
    await Promise.resolve();
    ended = true;
  });
  await expect(failing).rejects.toThrow('source');
  expect(ended).toBe(true);
});
