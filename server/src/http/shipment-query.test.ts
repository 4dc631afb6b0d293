import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { keyInPath, shipmentParams, shipmentUrl } from './shipment-query.ts';

const names = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 70 }),
  fc.string({ unit: 'binary-ascii', maxLength: 66 }),
  fc.constantFrom('', ' ', '-', '.', '..', 'ﷺ'.repeat(10), '9'.repeat(64), '9'.repeat(65), ` ${'9'.repeat(64)} `),
);

describe('the names in a path', () => {
  test('are read by the short way as by the schema', () => {
    fc.assert(
      fc.property(names, names, (carrier, tracking_number) => {
        const parsed = shipmentParams.safeParse({ carrier, tracking_number });
        expect(keyInPath(carrier, tracking_number)).toEqual(parsed.success ? parsed.data : null);
      }),
    );
  });

  test('come back out of the URL that is made of them, whatever a client does to its dots', () => {
    fc.assert(
      fc.property(names, names, (carrier, trackingNumber) => {
        const key = keyInPath(carrier, trackingNumber);
        fc.pre(key !== null && `${carrier}${trackingNumber}`.isWellFormed());
        const { pathname } = new URL(
          shipmentUrl({ carrier: carrier.trim(), trackingNumber: trackingNumber.trim() }),
          'http://localhost',
        );
        const [, , , , first = '', second = ''] = pathname.split('/');
        expect(keyInPath(decodeURIComponent(first), decodeURIComponent(second))).toEqual(key);
      }),
    );
  });
});
