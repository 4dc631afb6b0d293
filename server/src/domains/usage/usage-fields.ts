/**
 * One record as numbers and places in bytes, filled anew for each line: no object and no text is made on the way from a line to
 * the row that is sent to the database. What these functions do not take (null, -1, false) is not wrong yet: the careful reader
 * (usage-record.ts) judges it and says why.
 */
export interface RecordFields {
  /** Where the two ids stand. */
  source: Uint8Array;
  subscriptionAt: number;
  subscriptionEnd: number;
  recordAt: number;
  recordEnd: number;
  /** The index among the known types. */
  type: number;
  /** Milliseconds since 1970. */
  usedAtMs: number;
  /** Its upper and lower 32 bits. */
  usedHigh: number;
  usedLow: number;
  /** The price: before the point, millionths behind it, and how many places were written. */
  priceWhole: number;
  priceMillionths: number;
  pricePlaces: number;
}

export const emptyFields = (): RecordFields => ({
  source: new Uint8Array(0),
  subscriptionAt: 0,
  subscriptionEnd: 0,
  recordAt: 0,
  recordEnd: 0,
  type: 0,
  usedAtMs: 0,
  usedHigh: 0,
  usedLow: 0,
  priceWhole: 0,
  priceMillionths: 0,
  pricePlaces: 0,
});

const [zero, nine, dot, dash, colon, plus] = [48, 57, 46, 45, 58, 43] as const;
const [upperT, upperZ] = [84, 90] as const;

/** Two digits as a number; above 99 when one of them is none. */
function twoDigits(bytes: Uint8Array, at: number): number {
  const tens = (bytes[at] ?? 0) - zero;
  const ones = (bytes[at + 1] ?? 0) - zero;
  return tens >= 0 && tens <= 9 && ones >= 0 && ones <= 9 ? tens * 10 + ones : 1_000;
}

const monthLengths = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] as const;
const isLeap = (year: number): boolean => (year % 4 === 0 && year % 100 !== 0) || year % 400 === 0;

/** Days since 1970 of a date of the Gregorian calendar; NaN where there is none. */
function dayNumber(year: number, month: number, day: number): number {
  if (month < 1 || month > 12 || day < 1 || year < 1) return Number.NaN;
  if (day > (monthLengths[month - 1] ?? 0) && !(month === 2 && day === 29 && isLeap(year))) return Number.NaN;
  // Years begin in March, so that the leap day is the last one.
  const y = month <= 2 ? year - 1 : year;
  const dayOfYear = Math.floor((153 * (month + (month > 2 ? -3 : 9)) + 2) / 5) + day - 1;
  return y * 365 + Math.floor(y / 4) - Math.floor(y / 100) + Math.floor(y / 400) + dayOfYear - 719_468;
}

/**
 * `2026-11-21T12:30:00.123456Z` or with an offset, truncated to milliseconds. @returns NaN for what is not written so; leap
 * seconds and small letters too
 */
export function readInstant(bytes: Uint8Array, from: number, end: number): number {
  if (end - from < 20 || bytes[from + 4] !== dash || bytes[from + 7] !== dash || bytes[from + 10] !== upperT)
    return Number.NaN;
  if (bytes[from + 13] !== colon || bytes[from + 16] !== colon) return Number.NaN;
  const century = twoDigits(bytes, from);
  const yearOfCentury = twoDigits(bytes, from + 2);
  const hour = twoDigits(bytes, from + 11);
  const minute = twoDigits(bytes, from + 14);
  const second = twoDigits(bytes, from + 17);
  if (century > 99 || yearOfCentury > 99 || hour > 23 || minute > 59 || second > 59) return Number.NaN;
  const day = dayNumber(century * 100 + yearOfCentury, twoDigits(bytes, from + 5), twoDigits(bytes, from + 8));
  const start = day * 86_400_000 + hour * 3_600_000 + minute * 60_000 + second * 1_000;
  return withFractionAndZone(bytes, from + 19, { end, start });
}

function withFractionAndZone(bytes: Uint8Array, from: number, { end, start }: { end: number; start: number }): number {
  let at = from;
  let ms = 0;
  if (bytes[at] === dot) {
    let weight = 100;
    for (at++; at < end; at++) {
      const byte = bytes[at] ?? 0;
      if (byte < zero || byte > nine) break;
      if (weight >= 1) ms += (byte - zero) * weight;
      weight /= 10;
    }
    if (at === from + 1) return Number.NaN;
  }
  if (bytes[at] === upperZ) return at + 1 === end ? start + ms : Number.NaN;
  const sign = bytes[at];
  if ((sign !== plus && sign !== dash) || at + 6 !== end || bytes[at + 3] !== colon) return Number.NaN;
  const hours = twoDigits(bytes, at + 1);
  const minutes = twoDigits(bytes, at + 4);
  if (hours > 23 || minutes > 59) return Number.NaN;
  const offset = (hours * 60 + minutes) * 60_000;
  return start + ms + (sign === plus ? -offset : offset);
}

const twoTo32 = 2 ** 32;

/** Up to 15 digits. @returns false for anything else */
export function readUsed(fields: RecordFields, from: number, end: number): boolean {
  if (end <= from || end - from > 15) return false;
  let value = 0;
  const bytes = fields.source;
  for (let at = from; at < end; at++) {
    const digit = (bytes[at] ?? 0) - zero;
    if (digit < 0 || digit > 9) return false;
    value = value * 10 + digit;
  }
  fields.usedHigh = Math.floor(value / twoTo32);
  fields.usedLow = value >>> 0;
  return true;
}

/** Up to 12 digits, and up to 6 behind a point. @returns false for anything else */
export function readPrice(fields: RecordFields, from: number, end: number): boolean {
  const bytes = fields.source;
  let at = from;
  let whole = 0;
  for (; at < end; at++) {
    const digit = (bytes[at] ?? 0) - zero;
    if (digit < 0 || digit > 9) break;
    whole = whole * 10 + digit;
  }
  if (at === from || at - from > 12) return false;
  fields.priceWhole = whole;
  fields.priceMillionths = 0;
  fields.pricePlaces = 0;
  if (at === end) return true;
  const places = end - at - 1;
  if (bytes[at] !== dot || places < 1 || places > 6) return false;
  let weight = 100_000;
  for (at++; at < end; at++) {
    const digit = (bytes[at] ?? 0) - zero;
    if (digit < 0 || digit > 9) return false;
    fields.priceMillionths += digit * weight;
    weight /= 10;
  }
  fields.pricePlaces = places;
  return true;
}

/** Whether the bytes are these. */
export function isText(bytes: Uint8Array, at: number, text: Uint8Array): boolean {
  for (let i = 0; i < text.length; i++) if (bytes[at + i] !== text[i]) return false;
  return true;
}

/** The index of the type that stands there, or -1. */
export function readType(fields: RecordFields, types: readonly Uint8Array[], place: readonly [number, number]): number {
  const [from, end] = place;
  for (let i = 0; i < types.length; i++) {
    const name = types[i];
    if (name !== undefined && name.length === end - from && isText(fields.source, from, name)) return i;
  }
  return -1;
}
