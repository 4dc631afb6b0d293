import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { normalisedName, shipmentKeyOf } from './tracking-key.ts';

describe('a name as it is compared', () => {
  test.each([
    ['tn 123-456', 'TN123456'],
    ['  1Z 999 AA1 0123456784 ', '1Z999AA10123456784'],
    ['0073938000549297', '0073938000549297'],
    ['FedEx', 'FEDEX'],
    ['Deutsche\u00a0Post\u2013DHL', 'DEUTSCHEPOSTDHL'],
    ['１２３', '123'],
    ['straße', 'STRASSE'],
    ['canada_post', 'CANADA_POST'],
  ])('%s is %s', (given, compared) => {
    expect(normalisedName(given)).toBe(compared);
  });

  test('taking it twice changes nothing, and spaces, hyphens and case do not count', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        const name = normalisedName(text);
        expect(normalisedName(name)).toBe(name);
        expect(normalisedName(` ${text}- `)).toBe(name);
      }),
      { numRuns: 1_000, examples: [['ŉ'], ['\u0390'], ['ﬃ'], ['\u1e9e'], ['ǆ'], ['\u2011-\u00ad']] },
    );
  });

  test('nothing that is left, NUL, a lone surrogate and what grows too long are no keys', () => {
    for (const number of ['', ' ', '--', '\u2014', 'a\u0000b', '\ud800', '\ufdfa'.repeat(64)])
      expect(shipmentKeyOf('DHL', number)).toBeNull();
    expect(shipmentKeyOf('-', '1')).toBeNull();
    expect(shipmentKeyOf('dhl', 'tn-1')).toEqual({ carrierKey: 'DHL', trackingKey: 'TN1' });
  });
});
