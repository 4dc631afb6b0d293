import { formatInstant, type Instant } from '../core/time.ts';
import { percentOf } from '../http/job-representation.ts';
import type { JobRun, Json } from '../jobs/job.ts';
import type { JobForecast } from '../jobs/jobs.ts';

/** How a run is seen at a moment. */
export interface JobView {
  readonly run: JobRun;
  readonly now: Instant;
  /** How long this state of the run has been known here: figures of time go on meanwhile. */
  readonly ageMs: number;
  /** For so long nothing was heard of the process that works at it; null = it is heard of. */
  readonly silentMs: number | null;
}

/** A whole number with commas: `1,234,567`. */
export const countText = (value: number): string => Math.round(value).toLocaleString('en');

/** `8 s`, `4 min 10 s`, `2 h 05 min`, `3 d 4 h`: two units at most. */
export function durationText(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1_000));
  const minutes = Math.floor(seconds / 60);
  const hours = Math.floor(minutes / 60);
  const two = (value: number) => String(value).padStart(2, '0');
  if (minutes === 0) return `${seconds} s`;
  if (hours === 0) return `${minutes} min ${two(seconds % 60)} s`;
  if (hours < 48) return `${hours} h ${two(minutes % 60)} min`;
  return `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

/** A remaining time, no finer than it is known: to the second below a minute, to ten seconds below ten minutes, then minutes. */
export function remainingText(ms: number): string {
  const step = ms < 60_000 ? 1_000 : ms < 600_000 ? 10_000 : 60_000;
  return durationText(Math.ceil(ms / step) * step).replace(/(?<=min) 00 s$/, '');
}

/** `81,000/s`, `0.4/s` */
export const rateText = (rowsPerSecond: number): string =>
  `${rowsPerSecond < 10 ? String(Math.round(rowsPerSecond * 10) / 10) : countText(rowsPerSecond)}/s`;

/** The clock on the wall here: `12:31:07`, with the day where it is not today. */
export function clockText(at: Instant, now: Instant): string {
  const [date, today] = [new Date(at), new Date(now)];
  const two = (value: number) => String(value).padStart(2, '0');
  const time = `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  return date.toDateString() === today.toDateString() ? time : `${day} ${time}`;
}

// Behind a figure of the past the clock goes on by itself, but not for long: then nobody knows.
const longestAgeMs = 10_000;

/** Active time until now. */
export function activeMsOf({ run, ageMs, silentMs }: JobView): number {
  const goesOn = run.state === 'running' && silentMs === null;
  return run.activeMs + (goesOn ? Math.min(ageMs, longestAgeMs) : 0);
}

/** Remaining time from now; null where it is not known, or where nobody works at the run. */
export function remainingMsOf({ run, ageMs, silentMs }: JobView): number | null {
  if (run.remainingMs === null || run.state !== 'running' || silentMs !== null) return null;
  return Math.max(0, run.remainingMs - (run.waitReason === null ? Math.min(ageMs, longestAgeMs) : 0));
}

const approximately = (run: JobRun): string => (run.total?.precision === 'estimate' ? '~' : '');

/** `340,000/~1,000,000`, or `340,000 rows` where nobody knows how many there are. */
export const doneText = (run: JobRun): string =>
  run.total === null
    ? `${countText(run.doneRows)} rows`
    : `${countText(run.doneRows)}/${approximately(run)}${countText(Math.max(run.total.rows, run.doneRows))}`;

/** `34.5%`; null where the total is not known. */
export function percentText(run: JobRun): string | null {
  const percent = percentOf(run);
  return percent === null ? null : `${approximately(run)}${percent.toFixed(1)}%`;
}

/** The state in words, with what a person must know of it. */
export function stateText({ run, silentMs }: JobView): string {
  if (silentMs !== null && run.owner !== null) {
    const why = run.waitReason === null ? '' : ` (${run.waitReason})`;
    return `${run.state}${why}, but nothing heard of ${run.owner.host}, process ${run.owner.pid}, for ${durationText(silentMs)}`;
  }
  if (run.state === 'failed' && run.error !== null) return `failed: ${run.error}`;
  return run.waitReason === null || run.state !== 'running' ? run.state : `waits: ${run.waitReason}`;
}

/** The values of a line of a log, in its order. Times are seconds. */
function logFields(view: JobView): readonly (readonly [name: string, value: string])[] {
  const { run, now, silentMs } = view;
  const remainingMs = remainingMsOf(view);
  const seconds = (ms: number) => (ms / 1_000).toFixed(1);
  const fields: readonly (readonly [string, string | null])[] = [
    ['at', formatInstant(now)],
    ['run', run.runId],
    ['kind', run.kind],
    ['state', run.state],
    ['done', String(run.doneRows)],
    ['total', run.total === null ? null : `${approximately(run)}${run.total.rows}`],
    ['percent', percentOf(run)?.toFixed(1) ?? null],
    ['rate', run.rateNow === null ? null : run.rateNow.toFixed(1)],
    ['rate_mean', run.rateMean === null ? null : run.rateMean.toFixed(1)],
    ['active_s', seconds(activeMsOf(view))],
    ['remaining_s', remainingMs === null ? null : `${approximately(run)}${Math.ceil(remainingMs / 1_000)}`],
    ['finish', remainingMs === null ? null : formatInstant(Math.round(now + remainingMs) as Instant)],
    ['batch', String(run.batchRows)],
    ['failed', String(run.failedRows)],
    ['retries', String(run.retries)],
    ['wait', run.waitReason],
    ['silent_s', silentMs === null ? null : seconds(silentMs)],
    ['error', run.state === 'failed' ? run.error : null],
  ];
  return fields.filter((field): field is readonly [string, string] => field[1] !== null);
}

/** One line of a log: `run=… state=running done=340000 …`. */
export const logLine = (view: JobView): string =>
  logFields(view)
    .map(([name, value]) => `${name}=${/^[\w.:~+-]+$/.test(value) ? value : JSON.stringify(value)}`)
    .join(' ');

/** `1,000,000 rows in 12 s (81,000/s), 2 failed; 999,998 issued` */
export function summaryText(run: JobRun): string {
  const rate = run.rateMean === null ? '' : ` (${rateText(run.rateMean)})`;
  const failed = run.failedRows === 0 ? '' : `, ${countText(run.failedRows)} failed`;
  const counts = Object.entries(run.counts).map(([name, rows]) => `${countText(rows)} ${name.replaceAll('_', ' ')}`);
  const done =
    run.state === 'done' ? `${countText(run.doneRows)} rows` : `${doneText(run)}${run.total === null ? '' : ' rows'}`;
  return `${done} in ${durationText(run.activeMs)}${rate}${failed}${counts.length === 0 ? '' : `; ${counts.join(', ')}`}`;
}

/** The result of a run as lines of name and value; what lies deeper is JSON. */
export function resultLines(result: Json): readonly string[] {
  if (result === null) return [];
  if (typeof result !== 'object' || Array.isArray(result)) return [JSON.stringify(result)];
  const entries = Object.entries(result);
  const width = Math.max(0, ...entries.map(([name]) => name.length));
  return entries.map(([name, value]) => {
    const text =
      typeof value === 'number' ? countOrDecimal(value) : typeof value === 'string' ? value : JSON.stringify(value);
    return `${name.replaceAll('_', ' ').padEnd(width)}  ${text}`;
  });
}

const countOrDecimal = (value: number): string => (Number.isInteger(value) ? countText(value) : String(value));

const errorsHint = (run: JobRun): readonly string[] =>
  run.failedRows === 0 ? [] : [`The failed rows: milliard jobs errors ${run.runId}`];

/** What is told when a run has ended, paused or was cancelled. */
export function endingLines(run: JobRun, resumeLine: string): readonly string[] {
  switch (run.state) {
    case 'done':
      return [`done: ${summaryText(run)}`, ...resultLines(run.result), ...errorsHint(run)];
    case 'paused':
      return [`paused: ${summaryText(run)}`, `Nothing is lost. Go on: ${resumeLine}`];
    case 'failed':
      return [
        `failed: ${run.error ?? 'no reason was recorded'}`,
        summaryText(run),
        ...resultLines(run.result),
        ...errorsHint(run),
        `Go on when the cause is gone: ${resumeLine}`,
      ];
    case 'cancelled':
    case 'cancelling':
      return [`${run.state}: ${summaryText(run)}`];
    default:
      return [`${run.state}: ${summaryText(run)}`, `Look at it: milliard jobs watch ${run.runId}`];
  }
}

/** `12.3 MiB` */
export function bytesText(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let [size, unit] = [Math.abs(bytes), 0];
  while (size >= 1_024 && unit < units.length - 1) [size, unit] = [size / 1_024, unit + 1];
  return `${bytes < 0 ? '-' : ''}${unit === 0 ? size : size.toFixed(1)} ${units[unit]}`;
}

/** What a rehearsal foretells, for a person. */
export function forecastLines(forecast: JobForecast): readonly string[] {
  const { sampledRows, sampledBatches, otherWriters = false, total } = forecast;
  const batches = `${countText(sampledBatches)} ${sampledBatches === 1 ? 'batch' : 'batches'}`;
  const sample = `${countText(sampledRows)} ${sampledRows === 1 ? 'row' : 'rows'} in ${batches} ${sampledRows === 1 ? 'was' : 'were'} tried and rolled back; nothing was changed.`;
  if (total === null) return [sample, 'Nobody can know how many rows there are in all, so there is no forecast.'];
  const tilde = total.precision === 'estimate' ? '~' : '';
  return [
    sample,
    `rows  ${tilde}${countText(total.rows)}`,
    `time  about ${remainingText(total.durationMs)}`,
    `WAL   about ${bytesText(total.walBytes)}${otherWriters ? ', with what others wrote meanwhile' : ''}`,
    `disk  about ${total.diskBytes < 0 ? '' : '+'}${bytesText(total.diskBytes)}`,
  ];
}

/** The same as `--json` shows it. */
export const forecastDocument = ({ sampledRows, sampledBatches, otherWriters = false, total }: JobForecast) => ({
  dry_run: true,
  sampled_rows: sampledRows,
  sampled_batches: sampledBatches,
  other_writers: otherWriters,
  total:
    total === null
      ? null
      : {
          rows: total.rows,
          precision: total.precision,
          duration_ms: Math.round(total.durationMs),
          wal_bytes: Math.round(total.walBytes),
          disk_bytes: Math.round(total.diskBytes),
        },
});
