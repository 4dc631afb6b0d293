import type { WriteOutcome } from '../domains/orders/order-batch-service.ts';
import type { OrderToWrite, OrderWriter } from '../domains/orders/order-write-service.ts';
import { refusalMessages } from '../domains/orders/orders-service.ts';
import type { BulkPart, BulkRow, Rejection } from './bulk-parts.ts';
import type { OutcomeSpool } from './outcome-spool.ts';

export const reports = ['rejected', 'all', 'none'] as const;
export type Report = (typeof reports)[number];

export interface BulkSummary {
  rows: number;
  created: number;
  replayed: number;
  rejected: number;
  statuses_added: number;
}

export interface BulkRun {
  readonly parts: AsyncIterable<BulkPart>;
  readonly writer: OrderWriter;
  readonly report: Report;
  readonly spool: OutcomeSpool;
  /** Called before each part: throws when the request may not go on. */
  readonly confirm: () => Promise<void>;
  /** Called when a part is stored. */
  readonly onPart: (summary: Readonly<BulkSummary>) => void;
  /** Makes `parts` end at once: nobody will read further. */
  readonly stop: () => void;
}

interface Writing {
  readonly part: BulkPart;
  readonly outcomes: Promise<readonly WriteOutcome[]>;
}

/**
 * Writes each part in one transaction and puts the outcomes into the spool, in order, as soon as they are known. A part begins
 * to be written while the one before it still is: what one prepares in this process overlaps with what the database does for
 * the other. Never more than two.
 * @returns the sums, once everything is stored
 */
export async function runBulk(run: BulkRun): Promise<BulkSummary> {
  const summary: BulkSummary = { rows: 0, created: 0, replayed: 0, rejected: 0, statuses_added: 0 };
  const source = run.parts[Symbol.asyncIterator]();
  let writing: Writing | null = null;
  try {
    for (;;) {
      const coming = source.next();
      // A sender may take its time: what is stored meanwhile is told now.
      if (writing !== null && (await isWrittenFirst(writing, coming))) writing = await finish(run, writing, summary);
      const { done, value: part } = await coming;
      if (done === true) break;
      await run.confirm();
      const before: Writing | null = writing;
      writing = begin(run, part);
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

function begin(run: BulkRun, part: BulkPart): Writing {
  const outcomes = write(run, part);
  // Its failure is told when its turn comes; until then it must not count as unhandled.
  outcomes.catch(() => {});
  return { part, outcomes };
}

/** Whether a part is written before the next one is there. @throws what the write or the source throws, whichever comes first */
function isWrittenFirst({ outcomes }: Writing, coming: Promise<unknown>): Promise<boolean> {
  coming.catch(() => {});
  return Promise.race([outcomes.then(() => true), coming.then(() => false)]);
}

function write({ writer }: BulkRun, part: BulkPart): Promise<readonly WriteOutcome[]> {
  const orders: OrderToWrite[] = [];
  for (const { order } of part) if (order !== null) orders.push(order);
  return orders.length === 0 ? Promise.resolve([]) : writer.write(orders, { by: 'copy', olderMonths: 'refuse' });
}

async function finish(run: BulkRun, { part, outcomes }: Writing, summary: BulkSummary): Promise<null> {
  await report(run, part, { outcomes: await outcomes, summary });
  run.onPart(summary);
  return null;
}

interface Reporting {
  readonly outcomes: readonly WriteOutcome[];
  readonly summary: BulkSummary;
}

const flushCharacters = 64 * 1024;

async function report(run: BulkRun, part: BulkPart, { outcomes, summary }: Reporting): Promise<void> {
  let next = 0;
  let text = '';
  for (const row of part) {
    const outcome = row.order === null ? null : (outcomes[next++] ?? null);
    text += lineOf(row, outcome, { report: run.report, summary });
    if (text.length >= flushCharacters) {
      await run.spool.write(text);
      text = '';
    }
  }
  await run.spool.write(text);
}

function lineOf(row: BulkRow, outcome: WriteOutcome | null, context: { report: Report; summary: BulkSummary }): string {
  const { summary } = context;
  summary.rows++;
  if (row.rejection !== null) return rejected(row.line, row.rejection, context);
  if (outcome === null) throw new RangeError('Every row that is written has an outcome.');
  if (outcome.kind === 'refused') {
    const detail =
      outcome.code in refusalMessages
        ? refusalMessages[outcome.code as keyof typeof refusalMessages]
        : 'The order was refused.';
    const stored = outcome.orderId === null ? {} : { order_id: outcome.orderId };
    return rejected(row.line, { ...stored, code: outcome.code, detail }, context);
  }
  summary[outcome.kind]++;
  if (outcome.kind === 'replayed') summary.statuses_added += outcome.statusesAdded;
  const orderId = outcome.kind === 'created' ? outcome.order.orderId : outcome.orderId;
  // Nothing here needs escaping, and thousands of these stand between two parts.
  return context.report === 'all' ? `{"line":${row.line},"outcome":"${outcome.kind}","order_id":"${orderId}"}\n` : '';
}

function rejected(
  line: number,
  rejection: Rejection,
  { report: wanted, summary }: { report: Report; summary: BulkSummary },
): string {
  summary.rejected++;
  return wanted === 'none' ? '' : `${JSON.stringify({ line, outcome: 'rejected', ...rejection })}\n`;
}
