import type { BulkPart, BulkRow, Rejection } from './bulk-parts.ts';
import type { OutcomeSpool } from './outcome-spool.ts';

export const reports = ['rejected', 'all', 'none'] as const;
export type Report = (typeof reports)[number];

/** The closing line of a bulk answer; a kind adds what it counts beside. */
export interface BulkSummary {
  rows: number;
  rejected: number;
}

/** What a bulk request is about: how its parts are written and what is told of each row. */
export interface BulkKind<Item, Outcome, Summary extends BulkSummary> {
  /** A summary of nothing, its fields in the order in which they are told. */
  readonly summary: () => Summary;
  /** What can become of a row beside being rejected: fields of the summary that count rows. */
  readonly outcomes: readonly (keyof Summary & string)[];
  /** Whether a part begins to be written while the one before it still is, or only when that is stored. */
  readonly parts: 'overlapping' | 'in_order';
  /**
   * Writes the items of a part; outcomes in their order. Never called for nothing.
   * @param part counted from 1, those of which no row is to be written too: the same body has the same parts
   */
  write(items: readonly Item[], part: number): Promise<readonly Outcome[]>;
  /**
   * Counts an outcome and says it: JSON members, `"outcome":"created","order_id":"…"`, or why the row was rejected (which is
   * counted by the caller). Text and no object: thousands of these stand between two parts.
   */
  tell(outcome: Outcome, summary: Summary): string | Rejection;
}

export interface BulkRun<Item, Outcome, Summary extends BulkSummary> {
  readonly kind: BulkKind<Item, Outcome, Summary>;
  readonly parts: AsyncIterable<BulkPart<Item>>;
  readonly report: Report;
  readonly spool: OutcomeSpool;
  /** Called before each part: throws when the request may not go on. */
  readonly confirm: () => Promise<void>;
  /** Called when a part is stored. */
  readonly onPart: (summary: Readonly<Summary>) => void;
  /** Makes `parts` end at once: nobody will read further. */
  readonly stop: () => void;
}

interface Writing<Item, Outcome> {
  readonly part: BulkPart<Item>;
  readonly outcomes: Promise<readonly Outcome[]>;
}

/**
 * Writes each part in one transaction and puts the outcomes into the spool, in order, as soon as they are known. Where the kind
 * lets parts overlap, one begins to be written while the one before it still is: what one prepares in this process overlaps
 * with what the database does for the other. Never more than two.
 * @returns the sums, once everything is stored
 */
export async function runBulk<Item, Outcome, Summary extends BulkSummary>(
  run: BulkRun<Item, Outcome, Summary>,
): Promise<Summary> {
  const summary = run.kind.summary();
  const source = run.parts[Symbol.asyncIterator]();
  let writing: Writing<Item, Outcome> | null = null;
  let parts = 0;
  try {
    for (;;) {
      const coming = source.next();
      // A sender may take its time: what is stored meanwhile is told now.
      if (writing !== null && (await isWrittenFirst(writing, coming))) writing = await finish(run, writing, summary);
      const { done, value: part } = await coming;
      if (done === true) break;
      if (writing !== null && run.kind.parts === 'in_order') writing = await finish(run, writing, summary);
      await run.confirm();
      const before: Writing<Item, Outcome> | null = writing;
      writing = begin(run, part, ++parts);
      if (before !== null) await finish(run, before, summary);
    }
    if (writing !== null) await finish(run, writing, summary);
    return summary;
  } catch (error) {
    run.stop();
    await writing?.outcomes.catch(() => {});
    await source.return?.();
    throw error;
  }
}

function begin<Item, Outcome, Summary extends BulkSummary>(
  { kind }: BulkRun<Item, Outcome, Summary>,
  part: BulkPart<Item>,
  number: number,
): Writing<Item, Outcome> {
  const items: Item[] = [];
  for (const row of part) if (row.rejection === null) items.push(row.item);
  const outcomes = items.length === 0 ? Promise.resolve([]) : kind.write(items, number);
  // Its failure is told when its turn comes; until then it must not count as unhandled.
  outcomes.catch(() => {});
  return { part, outcomes };
}

/** Whether a part is written before the next one is there. @throws what the write or the source throws, whichever comes first */
function isWrittenFirst({ outcomes }: Writing<unknown, unknown>, coming: Promise<unknown>): Promise<boolean> {
  coming.catch(() => {});
  return Promise.race([outcomes.then(() => true), coming.then(() => false)]);
}

async function finish<Item, Outcome, Summary extends BulkSummary>(
  run: BulkRun<Item, Outcome, Summary>,
  { part, outcomes }: Writing<Item, Outcome>,
  summary: Summary,
): Promise<null> {
  await report(run, part, { outcomes: await outcomes, summary });
  run.onPart(summary);
  return null;
}

const flushCharacters = 64 * 1024;

async function report<Item, Outcome, Summary extends BulkSummary>(
  { kind, report: wanted, spool }: BulkRun<Item, Outcome, Summary>,
  part: BulkPart<Item>,
  { outcomes, summary }: { readonly outcomes: readonly Outcome[]; readonly summary: Summary },
): Promise<void> {
  let next = 0;
  let text = '';
  for (const row of part) {
    summary.rows++;
    const told = row.rejection ?? kind.tell(outcomeAt(outcomes, next++), summary);
    text += lineOf(row, told, { wanted, summary });
    if (text.length >= flushCharacters) {
      await spool.write(text);
      text = '';
    }
  }
  await spool.write(text);
}

function outcomeAt<Outcome>(outcomes: readonly Outcome[], index: number): Outcome {
  const outcome = outcomes[index];
  if (outcome === undefined) throw new RangeError('Every row that is written has an outcome.');
  return outcome;
}

function lineOf(
  { line }: BulkRow<unknown>,
  told: string | Rejection,
  { wanted, summary }: { readonly wanted: Report; readonly summary: BulkSummary },
): string {
  if (typeof told === 'string') return wanted === 'all' ? `{"line":${line},${told}}\n` : '';
  summary.rejected++;
  return wanted === 'none' ? '' : `${JSON.stringify({ line, outcome: 'rejected', ...told })}\n`;
}
