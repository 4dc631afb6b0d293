import { afterCleanPart, afterRowFault, nextBatchRows } from './batch-size.ts';
import type { JobKind } from './job.ts';
import { BadRowsError, type BatchDeps, type BatchDone, type RangePosition, runBatch } from './job-batch.ts';
import { LostRunError } from './job-faults.ts';
import type { Patience } from './job-patience.ts';
import { insertRowError, type RangeRow, selectRanges } from './job-range-queries.ts';
import { rowsAtOnce } from './throttle.ts';

export interface WorkerDeps extends BatchDeps {
  readonly kind: JobKind;
  readonly patience: Patience;
  /** After each committed batch. */
  readonly onCheckpoint: () => void;
}

/** A range under way. */
interface RangeInHand extends RangePosition {
  /** Rows from the cursor on that are known to hold one that fails; see batch-size.ts. */
  suspectRows: number;
  askRows: number;
}

/** Does the batches of one range until nothing is left of it or the run is stopped. */
export async function workAtRange(deps: WorkerDeps, row: RangeRow): Promise<void> {
  const { hand, patience } = deps;
  let range = inHand(row);
  let failures = 0;
  while (!range.finished) {
    await hand.gate.untilFree();
    if (hand.signal.aborted) return;
    const askRows =
      range.suspectRows > 0
        ? range.askRows
        : rowsAtOnce(hand.meter.figures().batchRows, hand.gate.throttle().rowsPerSecond);
    try {
      const done = await runBatch(deps, range, askRows);
      failures = 0;
      range = afterBatch(deps, range, done);
      deps.onCheckpoint();
    } catch (error) {
      if (error instanceof BadRowsError) {
        range = await afterBadRows(deps, range, error);
        continue;
      }
      failures++;
      const isLost = error instanceof LostRunError;
      if (!isLost) await patience.overcome(error, failures);
      // What is committed says where to go on: a commit whose answer was lost is neither done again nor left out.
      const present = await readBack(deps, range);
      if (isLost && present === range) hand.stop({ kind: 'lost' });
      range = present ?? range;
    }
  }
}

const inHand = (row: RangeRow): RangeInHand => ({
  rangeNo: row.rangeNo,
  cursor: row.cursor,
  upTo: row.upTo,
  batches: Number(row.batches),
  doneRows: Number(row.doneRows),
  failedRows: Number(row.failedRows),
  counts: row.counts,
  finished: row.finished,
  suspectRows: 0,
  askRows: 1,
});

function afterBatch({ hand, kind }: WorkerDeps, range: RangeInHand, done: BatchDone): RangeInHand {
  hand.gate.wait('trouble', null);
  if (!done.position.finished) hand.committed(done);
  hand.told(done.told);
  if (range.suspectRows > 0) {
    // A row that was found and recorded clears the suspicion: what else may be wrong shows by itself.
    const left = done.failedRows > 0 ? { suspectRows: 0, askRows: 1 } : afterCleanPart(range.suspectRows, done.rows);
    return { ...done.position, ...left };
  }
  if (done.attempts === 1 && done.rows > 0)
    hand.meter.setBatchRows(nextBatchRows(kind.batchRows, hand.meter.figures().batchRows, done));
  return { ...done.position, suspectRows: 0, askRows: 1 };
}

async function afterBadRows(
  { db, hand, kind }: WorkerDeps,
  range: RangeInHand,
  bad: BadRowsError,
): Promise<RangeInHand> {
  if (!bad.isOverLimit) return { ...range, ...afterRowFault(Math.max(1, bad.rows)) };
  const { fault } = bad;
  await db.query(insertRowError(hand.claim.row.runId, { ...fault, skipped: false })).catch(() => {});
  hand.stop({
    kind: 'failed',
    message:
      kind.maxRowErrors === 0
        ? `Row ${fault.rowKey} cannot be done: ${fault.detail} (${fault.code}). Mend it, then resume the run: it goes on with this row.`
        : `More than ${hand.claim.row.allowedRowErrors} rows failed, the last is ${fault.rowKey}: ${fault.detail} (${fault.code}). ` +
          `See the list of errors; a resume goes on and allows ${kind.maxRowErrors} more.`,
  });
  return range;
}

/** The range as the database has it; null = it cannot be asked now. Stops the run when somebody else has it. */
async function readBack({ db, hand }: WorkerDeps, range: RangeInHand): Promise<RangeInHand | null> {
  const rows = await db.query(selectRanges(hand.claim.row.runId)).catch(() => null);
  if (rows === null) return null;
  const row = rows.find(({ rangeNo }) => rangeNo === range.rangeNo);
  if (row === undefined || Number(row.fence) !== hand.claim.fence) {
    hand.stop({ kind: 'lost' });
    return null;
  }
  const present = inHand(row);
  if (present.batches === range.batches) return range;
  if (!present.finished)
    hand.committed({
      rows: present.doneRows - range.doneRows,
      failedRows: present.failedRows - range.failedRows,
      counts: difference(present.counts, range.counts),
    });
  return present;
}

function difference(later: Readonly<Record<string, number>>, earlier: Readonly<Record<string, number>>) {
  return Object.fromEntries(Object.entries(later).map(([name, n]) => [name, n - (earlier[name] ?? 0)]));
}
