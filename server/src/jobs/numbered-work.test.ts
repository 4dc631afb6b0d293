import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Transaction } from '../storage/transaction.ts';
import type { RunId } from './job.ts';
import { drawnSeed, eachNumber, type NumberedWork, numberedWork, seedParameter, startOf } from './numbered-work.ts';

// Planning reads nothing.
const noTransaction = {} as Transaction;
const work = (count: number) => numberedWork({ count, worthDividing: 10, rowKey: (number) => `row ${number}` });

/** Every number that the batches of all ranges have, in the order they are planned. */
async function allNumbers({ ranges, plan }: NumberedWork, rows: number): Promise<number[]> {
  const numbers: number[] = [];
  for (const { from, to } of await ranges()) {
    let after = from;
    for (;;) {
      const batch = await plan(noTransaction, { after, upTo: to, rows });
      if (batch === null) break;
      const made = eachNumber(batch.plan, (number) => number);
      expect(made).toHaveLength(batch.rows);
      numbers.push(...made);
      after = batch.cursor;
    }
  }
  return numbers;
}

describe('numbered rows', () => {
  test('are made once each, however large the batches', async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 60 }), fc.integer({ min: 1, max: 70 }), async (count, rows) => {
        expect(await allNumbers(work(count), rows)).toEqual(Array.from({ length: count }, (_, i) => i + 1));
      }),
    );
  });

  test('are one range as long as they are few, then two halves', async () => {
    expect(await work(9).ranges()).toEqual([{ from: null, to: null }]);
    expect(await work(11).ranges()).toEqual([
      { from: 0, to: 6 },
      { from: 6, to: 11 },
    ]);
  });

  test('are known in number, and a batch is named by its first one', async () => {
    expect(await work(12).total()).toEqual({ rows: 12, precision: 'exact' });
    expect(await work(12).plan(noTransaction, { after: 4, upTo: 6, rows: 100 })).toEqual({
      ...{ rows: 2, cursor: 6, rowKey: 'row 5' },
      plan: { first: 5, last: 6 },
    });
    expect(await work(12).plan(noTransaction, { after: 12, upTo: null, rows: 100 })).toBeNull();
  });
});

test("a run's id tells when the run was made, and a seed", () => {
  const runId = '0197c0b9-3e00-7a5c-9f3e-5d2fdeadbeef' as RunId;
  expect(startOf(runId)).toBe(0x0197c0b93e00);
  expect(drawnSeed(runId)).toBe(0xdeadbeef);
  expect(seedParameter('rows').parse(drawnSeed(runId))).toBe(0xdeadbeef);
});
