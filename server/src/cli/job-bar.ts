import type { Instant } from '../core/time.ts';
import { percentOf } from '../http/job-representation.ts';
import {
  activeMsOf,
  clockText,
  countText,
  doneText,
  durationText,
  type JobView,
  percentText,
  rateText,
  remainingMsOf,
  remainingText,
  stateText,
} from './job-texts.ts';

/** A piece of a line. Where the line is too long, the piece with the highest rank goes first. */
interface Piece {
  readonly text: string;
  readonly rank: number;
}

const between = '  ';
const widest = 40;
const narrowest = 8;

/**
 * A run as two lines for a terminal: how far it is, and what is going on. Neither is longer than `columns`: on a narrow
 * terminal the less important figures are left out.
 */
export function barLines(view: JobView, columns: number): readonly [string, string] {
  const { run } = view;
  const figures = fitted(figuresOf(view), columns);
  const percent = percentOf(run);
  const room = Math.min(widest, columns - figures.length - between.length - 2);
  const first = percent === null || room < narrowest ? figures : `[${bar(percent, room)}]${between}${figures}`;
  return [first, cut(fitted(detailsOf(view), columns), columns)];
}

function figuresOf(view: JobView): Piece[] {
  const { run, now } = view;
  const remainingMs = remainingMsOf(view);
  const percent = percentText(run);
  const tilde = run.total?.precision === 'estimate' ? '~' : '';
  return [
    ...(percent === null ? [] : [{ text: percent, rank: 0 }]),
    { text: doneText(run), rank: 1 },
    ...(run.rateNow === null ? [] : [{ text: rateText(run.rateNow), rank: 3 }]),
    ...(run.rateMean === null ? [] : [{ text: `mean ${rateText(run.rateMean)}`, rank: 6 }]),
    { text: durationText(activeMsOf(view)), rank: 5 },
    ...(remainingMs === null
      ? []
      : [
          { text: `${tilde}${remainingText(remainingMs)} left`, rank: 2 },
          { text: `until ${clockText((now + remainingMs) as Instant, now)}`, rank: 4 },
        ]),
  ];
}

function detailsOf(view: JobView): Piece[] {
  const { run } = view;
  return [
    // Reasons and errors come from elsewhere: they must not break the line.
    { text: stateText(view).replace(/[\s\p{Cc}]+/gu, ' '), rank: 0 },
    ...(run.failedRows === 0 ? [] : [{ text: `${countText(run.failedRows)} failed`, rank: 1 }]),
    ...(run.retries === 0 ? [] : [{ text: `${countText(run.retries)} retries`, rank: 5 }]),
    { text: `batch ${countText(run.batchRows)} rows`, rank: 3 },
    { text: `run ${run.runId}`, rank: 2 },
    { text: run.kind, rank: 4 },
  ];
}

function fitted(pieces: readonly Piece[], columns: number): string {
  const text = pieces.map((piece) => piece.text).join(between);
  const last = Math.max(...pieces.map(({ rank }) => rank));
  if (text.length <= columns || last === 0) return cut(text, columns);
  return fitted(
    pieces.filter(({ rank }) => rank !== last),
    columns,
  );
}

const cut = (text: string, columns: number): string =>
  text.length <= columns ? text : `${text.slice(0, Math.max(0, columns - 1))}…`;

function bar(percent: number, width: number): string {
  const full = Math.floor((percent / 100) * width);
  return '='.repeat(full).padEnd(width, full < width ? ' ' : '=');
}
