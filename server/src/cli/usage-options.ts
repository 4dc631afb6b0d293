import type { Command } from 'commander';
import { type Day, dayOf, parseDay } from '../core/days.ts';
import type { Instant } from '../core/time.ts';
import { UsageError } from './stopped.ts';

/** The flags that say which usage is read. */
export interface SelectionOptions {
  readonly from?: string;
  readonly to?: string;
  readonly type?: string;
  readonly subscription?: string;
  readonly fresh?: boolean;
}

/** Adds the flags of a selection. @param days what they mean when they are left out */
export const withSelection = (command: Command, days: { readonly from: string; readonly to: string }): Command =>
  command
    .option('--from <day>', `from this UTC day on (${days.from})`)
    .option('--to <day>', `up to this UTC day, included (${days.to})`)
    .option('--type <type>', 'only usage of this type, e.g. data or voice')
    .option('--subscription <id>', 'only this subscription')
    .option('--fresh', 'count what is not rolled up yet, too');

/** Reads a day such as 2026-01-31. @throws UsageError */
export function readDay(flag: string, text: string): Day {
  const day = parseDay(text);
  if (day !== null) return day;
  throw new UsageError(`${flag} is "${text}": give a UTC day such as 2026-01-31.`);
}

/** The period of the flags; null when neither is given. @throws UsageError */
export function readPeriod({ from, to }: SelectionOptions): { readonly from: Day; readonly to: Day } | null {
  if (from === undefined && to === undefined) return null;
  if (from === undefined || to === undefined) throw new UsageError('--from and --to: give both, or neither.');
  return ordered({ from: readDay('--from', from), to: readDay('--to', to) });
}

const shownDays = 30;

/** The period of the flags; without them the 30 days up to today. @throws UsageError */
export function readPeriodUpTo({ from, to }: SelectionOptions, now: Instant): { readonly from: Day; readonly to: Day } {
  const last = to === undefined ? dayOf(now) : readDay('--to', to);
  return ordered({ from: from === undefined ? ((last - shownDays + 1) as Day) : readDay('--from', from), to: last });
}

function ordered(period: { readonly from: Day; readonly to: Day }): { readonly from: Day; readonly to: Day } {
  if (period.from > period.to) throw new UsageError('--from must not be after --to: both days are included.');
  return period;
}
