import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Bucket } from '../core/bucket.ts';
import { type Fault, StorageError } from './faults.ts';
import { createGroupCommit, createWriteQueue, type GroupCommitOptions } from './group-commit.ts';

type Commit = GroupCommitOptions<number, string>['commit'];
const answer = (row: number): string => `stored ${row}`;
const fault = (kind: Fault['kind']) => new StorageError('storage_fault', kind, { fault: { kind, sqlstate: null } });

function group(commit: Commit, options: Partial<GroupCommitOptions<number, string>> = {}) {
  return createGroupCommit<number, string>({
    name: 'rows',
    commit,
    maxRows: 100,
    maxWaitMs: 1,
    concurrency: 1,
    maxQueued: 10_000,
    ...options,
  });
}

/** A commit that waits until the test lets it go. */
function gated() {
  const batches: number[][] = [];
  const gates: (() => void)[] = [];
  const commit: Commit = async (rows) => {
    batches.push([...rows]);
    await new Promise<void>((resolve) => gates.push(resolve));
    return rows.map(answer);
  };
  return { batches, commit, open: () => gates.shift()?.(), waiting: () => gates.length };
}
const settled = () => new Promise((resolve) => setImmediate(resolve));
const until = async (condition: () => boolean) => {
  while (!condition()) await settled();
};
const numbers = (count: number) => Array.from({ length: count }, (_, i) => i);

describe('group commit', () => {
  test('answers each writer with its own row', async () => {
    const { write } = group(async (rows) => rows.map(answer), { maxRows: 7, concurrency: 2 });
    expect(await Promise.all(numbers(50).map(write))).toEqual(numbers(50).map(answer));
  });

  test('answers only after the commit', async () => {
    const { commit, open, waiting } = gated();
    const queue = group(commit);
    let answered = false;
    const written = queue.write(1).then(() => {
      answered = true;
    });
    await until(() => waiting() === 1);
    await settled();
    expect(answered).toBe(false);
    open();
    await written;
  });

  test('collects what comes while a commit runs, at most maxRows a transaction, in order of arrival', async () => {
    const { batches, commit, open, waiting } = gated();
    const queue = group(commit, { maxRows: 10 });
    const first = queue.write(-1);
    await until(() => waiting() === 1);
    const rest = numbers(25).map(queue.write);
    expect(queue.queued()).toBe(25);
    for (let i = 0; i < 4; i++) {
      await until(() => waiting() === 1);
      open();
    }
    await Promise.all([first, ...rest]);
    expect(batches).toEqual([[-1], numbers(10), numbers(20).slice(10), numbers(25).slice(20)]);
  });

  test('starts at once when maxRows wait', async () => {
    const { batches, commit, open } = gated();
    const queue = group(commit, { maxRows: 3, maxWaitMs: 1_000_000 });
    const written = [1, 2, 3].map(queue.write);
    expect(batches).toEqual([[1, 2, 3]]);
    open();
    await Promise.all(written);
  });

  test('runs at most `concurrency` transactions at once', async () => {
    const { commit, open, waiting, batches } = gated();
    const queue = group(commit, { maxRows: 1, maxWaitMs: 0, concurrency: 3 });
    const written = numbers(8).map(queue.write);
    expect(waiting()).toBe(3);
    while (batches.length < 8 || waiting() > 0) {
      expect(waiting()).toBeLessThanOrEqual(3);
      open();
      await settled();
    }
    await Promise.all(written);
  });

  test('turns writers away when the queue is full, and takes them again afterwards', async () => {
    const { commit, open, waiting } = gated();
    const queue = group(commit, { maxRows: 10, maxQueued: 5 });
    const first = queue.write(0);
    await until(() => waiting() === 1);
    const taken = numbers(5).map(queue.write);
    await expect(queue.write(99)).rejects.toMatchObject({ code: 'storage_overloaded' });
    open();
    await first;
    await until(() => waiting() === 1);
    const late = queue.write(7);
    open();
    await until(() => waiting() === 1);
    open();
    expect(await Promise.all([...taken, late])).toHaveLength(6);
  });

  test('drains: what was taken is written, new writers are turned away', async () => {
    const { commit, open, waiting, batches } = gated();
    const queue = group(commit, { maxRows: 2, maxWaitMs: 1_000_000 });
    const written = Promise.all([1, 2, 3].map(queue.write));
    let drained = false;
    const draining = queue.drain().then(() => {
      drained = true;
    });
    await expect(queue.write(4)).rejects.toMatchObject({ code: 'storage_unavailable' });
    await until(() => waiting() === 1);
    open();
    await until(() => waiting() === 1);
    expect(drained).toBe(false);
    open();
    await draining;
    expect(await written).toEqual([1, 2, 3].map(answer));
    expect(batches).toEqual([[1, 2], [3]]);
    await queue.drain();
  });

  test('finds the bad row: it fails alone, with its own error', async () => {
    const commits: number[][] = [];
    const { write } = group(async (rows) => {
      commits.push([...rows]);
      if (rows.includes(13)) throw fault('data');
      return rows.map(answer);
    });
    const results = await Promise.allSettled(numbers(64).map(write));
    expect(results.flatMap((result, i) => (result.status === 'rejected' ? [i] : []))).toEqual([13]);
    expect(commits.length).toBeLessThanOrEqual(1 + 2 * 6);
  });

  test.each<Fault['kind']>(['unavailable', 'disk_full', 'serialization', 'timeout', 'read_only'])(
    'does not halve a batch after %s: no single row is to blame',
    async (kind) => {
      let commits = 0;
      const { write } = group(async () => {
        commits++;
        throw fault(kind);
      });
      const results = await Promise.allSettled(numbers(9).map(write));
      expect(results.every((result) => result.status === 'rejected')).toBe(true);
      expect(commits).toBe(1);
    },
  );

  test('never commits twice because a metric fails, and says so when outcomes are missing', async () => {
    let commits = 0;
    const counted: Commit = async (rows) => {
      commits++;
      return rows.map(answer);
    };
    const { write } = group(counted, {
      onCommit: () => {
        throw new Error('the metric is broken');
      },
    });
    expect(await Promise.all([1, 2, 3].map(write))).toEqual([1, 2, 3].map(answer));
    expect(commits).toBe(1);
    const short = group(async (rows) => (await counted(rows)).slice(1));
    const results = await Promise.allSettled([1, 2].map(short.write));
    expect(results.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
    expect(commits).toBe(2);
  });

  test('loses no caller and stores no row twice, whatever fails', async () => {
    const scenario = fc.record({
      rows: fc.integer({ min: 1, max: 60 }),
      bad: fc.uniqueArray(fc.nat(59), { maxLength: 6 }),
      maxRows: fc.integer({ min: 1, max: 20 }),
      concurrency: fc.integer({ min: 1, max: 4 }),
      maxQueued: fc.integer({ min: 1, max: 80 }),
      // Which of the commits fail as a whole before anything is stored.
      outages: fc.uniqueArray(fc.nat(12), { maxLength: 4 }),
      pauses: fc.array(fc.boolean(), { minLength: 1, maxLength: 8 }),
    });
    await fc.assert(
      fc.asyncProperty(scenario, async ({ rows, bad, outages, pauses, ...options }) => {
        const stored: number[] = [];
        let commits = 0;
        let running = 0;
        const queue = group(async (batch) => {
          const commit = commits++;
          expect(batch.length).toBeLessThanOrEqual(options.maxRows);
          expect(++running).toBeLessThanOrEqual(options.concurrency);
          if (pauses[commit % pauses.length]) await settled();
          running--;
          if (outages.includes(commit)) throw fault('unavailable');
          if (batch.some((row) => bad.includes(row))) throw fault('data');
          stored.push(...batch);
          return batch.map(answer);
        }, options);
        const results = await Promise.allSettled(numbers(rows).map(queue.write));
        await queue.drain();
        expect(new Set(stored).size).toBe(stored.length);
        for (const [row, result] of results.entries()) {
          expect(result.status === 'fulfilled').toBe(stored.includes(row));
          if (result.status === 'fulfilled') expect(result.value).toBe(answer(row));
          // A good row fails only with the outage or the full queue, never for its neighbour's data.
          else if (!bad.includes(row)) expect(result.reason.message).not.toBe('data');
        }
      }),
      { numRuns: 150 },
    );
  });
});

describe('a queue over several nodes', () => {
  /** Buckets 0, 1, 2 … on the nodes 0, 1, 0, 1 …; each row is its own bucket. */
  const overTwoNodes = (commit: Commit) =>
    createWriteQueue<number, string>(
      { groupCommit: true, nodes: { nodeOf: (bucket) => bucket % 2 } },
      { name: 'rows', commit, bucketOf: (row) => row as Bucket },
    );

  test('goes on for one node while the other hangs, and a lost node fails its own rows only', async () => {
    const gates: (() => void)[] = [];
    const queue = overTwoNodes(async (rows) => {
      expect(new Set(rows.map((row) => row % 2)).size).toBe(1);
      if ((rows[0] ?? 0) % 2 === 0) return rows.map(answer);
      await new Promise<void>((resolve) => gates.push(resolve));
      throw fault('unavailable');
    });
    const hanging = Promise.allSettled([1, 3, 5].map(queue.write));
    await until(() => gates.length === 1);
    expect(await Promise.all([0, 2, 4].map(queue.write))).toEqual([0, 2, 4].map(answer));
    const behind = Promise.allSettled([7, 9].map(queue.write));
    expect(queue.queued()).toBe(2);
    let isOver = false;
    const over = Promise.all([hanging, behind]).finally(() => {
      isOver = true;
    });
    await until(() => {
      gates.shift()?.();
      return isOver;
    });
    const ended = (await over).flat();
    expect(ended.map(({ status }) => status)).toEqual(ended.map(() => 'rejected'));
  });

  test('drains all of them, and turns rows of a node it never met away as well', async () => {
    const written: number[] = [];
    const queue = overTwoNodes(async (rows) => {
      written.push(...rows);
      return rows.map(answer);
    });
    const taken = Promise.all([2, 4].map(queue.write));
    await queue.drain();
    expect(await taken).toEqual([2, 4].map(answer));
    await expect(queue.write(1)).rejects.toMatchObject({ code: 'storage_unavailable' });
    await expect(queue.write(2)).rejects.toMatchObject({ code: 'storage_unavailable' });
    expect(written).toEqual([2, 4]);
  });
});
