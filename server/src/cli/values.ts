import { type OrderId, parseOrderId, parseTicketId, type TicketId } from '../core/ids.ts';
import { type Instant, parseInstant } from '../core/time.ts';
import { UsageError } from './stopped.ts';

const unitMs: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1_000,
  m: 60_000,
  min: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};

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
  /** A time such as `500ms`, `10s`, `15m`, `24h`, `7d`, in milliseconds; `0` needs no unit. */
  durationMs(flag: string, text: string, mostMs = 366 * 86_400_000): number {
    const [, number, unit = ''] = /^(\d+(?:\.\d+)?)\s*(ms|s|m|min|h|d)$/.exec(text === '0' ? '0s' : text) ?? [];
    const ms = Math.round(Number(number) * (unitMs[unit] ?? Number.NaN));
    if (ms <= mostMs) return ms;
    throw new UsageError(`${flag} is "${text}": give a time such as 500ms, 10s, 15m, 24h or 7d.`);
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
  ticketId(text: string): TicketId {
    const id = parseTicketId(text);
    if (id !== null) return id;
    // The text is not repeated: it may be a token.
    throw new UsageError(
      'This is no ticket id: it is a version 7 UUID such as 0197c0b9-3e00-7a5c-9f3e-5d2f8c1b7a60. A token is no id: `milliard tickets verify -` takes it.',
    );
  },
  orderId(text: string): OrderId {
    const id = parseOrderId(text);
    if (id !== null) return id;
    throw new UsageError(
      `"${text}" is no order id: it is a version 7 UUID such as 0197c0b9-3e00-7a5c-9f3e-5d2f8c1b7a60.`,
    );
  },
};
