import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { dayMs, type Instant, parseInstant } from '../core/time.ts';
import { fieldErrorsOf } from '../core/validation.ts';
import { checkPeriod, type GivenPeriod, periodOf, timeParameter } from './period-parameters.ts';

const at = (text: string): Instant => {
  const found = parseInstant(text);
  if (found === null) throw new RangeError(`${text} is no instant.`);
  return found;
};
const now = at('2026-11-21T14:30:00Z');
const dayBefore = (to: Instant) => (to - dayMs) as Instant;

const shape = z
  .strictObject({ from: timeParameter('From.'), to: timeParameter('To.') })
  .superRefine((given, context) => checkPeriod(periodOf(given, now, dayBefore), now, context));
const faultsOf = (given: Partial<GivenPeriod>) => {
  const parsed = shape.safeParse(given);
  return parsed.success ? [] : fieldErrorsOf(parsed.error).map(({ pointer, detail }) => `${pointer} ${detail}`);
};

test('a period ends with the day before and begins where the kind says, unless it is given', () => {
  expect(periodOf({ from: null, to: null }, now, dayBefore)).toEqual({
    from: at('2026-11-20T00:00:00Z'),
    to: at('2026-11-21T00:00:00Z'),
  });
  expect(periodOf({ from: '2026-01-31', to: '2026-02-01T00:30:00+01:00' }, now, dayBefore)).toEqual({
    from: at('2026-01-31T00:00:00Z'),
    to: at('2026-01-31T23:30:00Z'),
  });
});

describe('a period', () => {
  test('of the past is taken', () => {
    expect(faultsOf({})).toEqual([]);
    expect(faultsOf({ from: '1995-01-01', to: '2026-11-21T14:30:00Z' })).toEqual([]);
  });

  test.each([
    [{ from: '2026-02-01', to: '2026-02-01' }, '/from must lie before `to`'],
    [{ from: '1994-12-31' }, '/from must not lie before 1995, the first year that is kept'],
    [{ to: '2026-11-21T14:30:01Z' }, '/to must not lie in the future'],
    [{ from: '2026-02-30' }, '/from must be a day, e.g. 2026-01-31, or an RFC 3339 date and time with a zone'],
    [{ to: '2026-02-01T12:00:00' }, '/to must be a day, e.g. 2026-01-31, or an RFC 3339 date and time with a zone'],
  ])('%j is refused where it is wrong', (given, fault) => {
    expect(faultsOf(given)).toEqual([fault]);
  });
});
