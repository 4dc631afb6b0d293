import { type OrderId, parseOrderId } from '../core/ids.ts';
import { type Instant, parseInstant } from '../core/time.ts';
import { UsageError } from './stopped.ts';

/** Reads the value of a flag. Each throws a UsageError that names the flag, the value and what would be right. */
export const values = {
  integer(flag: string, text: string, [least, most]: readonly [number, number]): number {
    const number = /^\d+$/.test(text) ? Number(text) : Number.NaN;
    if (number >= least && number <= most) return number;
    throw new UsageError(`${flag} is "${text}": give a whole number from ${least} to ${most}.`);
  },
  decimal(flag: string, text: string, [least, most]: readonly [number, number]): number {
    const number = /^\d*\.?\d+$/.test(text) ? Number(text) : Number.NaN;
    if (number >= least && number <= most) return number;
    throw new UsageError(`${flag} is "${text}": give a number from ${least} to ${most}.`);
  },
  /** An RFC 3339 instant, or a day, which begins at midnight UTC. */
  instant(flag: string, text: string): Instant {
    const at = parseInstant(/^\d{4}-\d\d-\d\d$/.test(text) ? `${text}T00:00:00Z` : text);
    if (at !== null) return at;
    throw new UsageError(
      `${flag} is "${text}": give a day such as 2026-01-31, or an instant such as 2026-01-31T12:30:00Z.`,
    );
  },
  choice<T extends string>(flag: string, text: string, choices: readonly T[]): T {
    const found = choices.find((choice) => choice === text);
    if (found !== undefined) return found;
    throw new UsageError(`${flag} is "${text}": give one of ${choices.join(', ')}.`);
  },
  orderId(text: string): OrderId {
    const id = parseOrderId(text);
    if (id !== null) return id;
    throw new UsageError(
      `"${text}" is no order id: it is a version 7 UUID such as 0197c0b9-3e00-7a5c-9f3e-5d2f8c1b7a60.`,
    );
  },
};
