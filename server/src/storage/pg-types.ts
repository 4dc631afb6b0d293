import pg from 'pg';
import { type Instant, parseInstant } from '../core/time.ts';

const timestamptzOid = 1184;
const int8Oid = 20;

// With TimeZone = UTC and DateStyle = ISO the server writes `2025-06-30 12:30:00.123+00`; other forms (BC, infinity, another
// zone set by a role) take the careful path.
const plain = /^(\d{4})-(\d\d)-(\d\d) (\d\d):(\d\d):(\d\d)(?:\.(\d{1,3}))?\+00$/;

/** PostgreSQL's text of a timestamptz as an Instant. @throws RangeError for infinity and years before 1. */
export function parseTimestamptz(text: string): Instant {
  const match = plain.exec(text);
  if (match !== null && Number(match[1]) > 99) {
    const ms = match[7] === undefined ? 0 : Number(match[7].padEnd(3, '0'));
    return Date.UTC(
      +(match[1] ?? 0),
      +(match[2] ?? 0) - 1,
      +(match[3] ?? 0),
      +(match[4] ?? 0),
      +(match[5] ?? 0),
      +(match[6] ?? 0),
      ms,
    ) as Instant;
  }
  const instant = parseInstant(text.replace(' ', 'T').replace(/([+-]\d\d)$/, '$1:00'));
  if (instant === null) throw new RangeError(`Not an instant between years 1 and 9999: ${text}`);
  return instant;
}

/** Driver types: int8 is bigint, timestamptz is Instant; the rest as the driver does it. Set per client, never globally. */
export const pgTypes: pg.CustomTypesConfig = {
  getTypeParser: ((oid: number, format?: 'text' | 'binary') => {
    if (format !== 'binary' && oid === timestamptzOid) return parseTimestamptz;
    if (format !== 'binary' && oid === int8Oid) return BigInt;
    return pg.types.getTypeParser(oid, format);
  }) as typeof pg.types.getTypeParser,
};
