import { dayMs, type Instant } from './time.ts';

/** A UTC calendar day, counted from 1970-01-01. Days compare, and have neighbours, as numbers do. */
export type Day = number & { readonly __brand: 'Day' };

const form = /^(\d{4})-(\d\d)-(\d\d)$/;

/** The UTC day of an instant. */
export const dayOf = (at: Instant): Day => Math.floor(at / dayMs) as Day;

/** Midnight UTC at its beginning. */
export const startOfDay = (day: Day): Instant => (day * dayMs) as Instant;

/** `2026-11-21`, years 1 to 9999; null for what is no such day. */
export function parseDay(text: string): Day | null {
  const match = form.exec(text);
  if (match === null || match[1] === '0000') return null;
  // Not Date.UTC: it takes the years 0..99 for 1900..1999.
  const at = new Date(0).setUTCFullYear(Number(match[1]), Number(match[2]) - 1, Number(match[3]));
  const day = Math.floor(at / dayMs) as Day;
  return formatDay(day) === text ? day : null;
}

let recentDay = Number.NaN;
let recentText = '';

/** `2026-11-21`. @throws RangeError for what is no day */
export function formatDay(day: Day): string {
  if (day !== recentDay) {
    recentText = new Date(day * dayMs).toISOString().slice(0, 10);
    recentDay = day;
  }
  return recentText;
}

/** The days from `from` to `to`, both included. */
export const daysBetween = (from: Day, to: Day): Day[] =>
  Array.from({ length: Math.max(0, to - from + 1) }, (_, i) => (from + i) as Day);
