import { parseDay } from '../core/days.ts';
import { UsageError } from './stopped.ts';

/** A UTC day of a flag, as it was written. @throws UsageError */
export function usageDay(flag: string, text: string): string {
  if (parseDay(text) !== null) return text;
  throw new UsageError(`${flag} is "${text}": give a day such as 2026-01-31.`);
}
