import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { shipmentStatuses } from './shipment-status.ts';
import { foldCode, knownCodes, statusOfCode } from './shipment-status-codes.ts';

describe('what a code means', () => {
  test.each([
    // The briefs' files.
    ['in_transit', 'in_transit'],
    ['in-transit', 'in_transit'],
    ['inbound-scan', 'in_transit'],
    ['scanned', 'in_transit'],
    ['transit', 'in_transit'],
    ['delivery', 'out_for_delivery'],
    // EasyPost
    ['pre_transit', 'pre_transit'],
    ['return_to_sender', 'returning'],
    ['failure', 'exception'],
    ['error', 'exception'],
    // AfterShip
    ['InfoReceived', 'pre_transit'],
    ['AttemptFail', 'exception'],
    ['OutForDelivery', 'out_for_delivery'],
    ['AvailableForPickup', 'available_for_pickup'],
    ['Expired', 'exception'],
    ['Exception_010', 'returning'],
    // Shippo
    ['TRANSIT', 'in_transit'],
    ['RETURNED', 'returned'],
    // Karrio
    ['ready_for_pickup', 'available_for_pickup'],
    ['delivery_delayed', 'exception'],
    ['on_hold', 'exception'],
    // 17TRACK
    ['InTransit_PickedUp', 'in_transit'],
    ['Exception_Returned', 'returned'],
    ['DeliveryFailure_NoBody', 'exception'],
    ['NotFound', 'unknown'],
  ])('%s is %s', (code, status) => {
    expect(statusOfCode(code)).toMatchObject({ status, known: true });
  });

  test('each status is a spelling of itself', () => {
    for (const status of shipmentStatuses) expect(statusOfCode(status)).toMatchObject({ status, known: true });
  });

  test('case, spaces, hyphens and underscores do not count', () => {
    const gaps = fc.array(fc.constantFrom('', ' ', '-', '_', '  '), { minLength: 40, maxLength: 40 });
    const words = fc.constantFrom(...knownCodes().keys());
    fc.assert(
      fc.property(words, gaps, fc.boolean(), (word, between, upper) => {
        const spelt = [...word].map((letter, i) => letter + (between[i] ?? '')).join('');
        expect(statusOfCode(upper ? spelt.toUpperCase() : spelt)).toEqual(statusOfCode(word));
      }),
    );
  });

  test('a word that no table has is unknown, and no name of an object', () => {
    for (const code of ['gone fishing', '', 'constructor', '__proto__', 'toString'])
      expect(statusOfCode(code)).toEqual({ status: 'unknown', newLeg: false, known: false });
  });

  test('returns and pick-ups begin a new leg, and only they', () => {
    const begin = ['returning', 'returned', 'return_to_sender', 'picked_up', 'accepted', 'available_for_pickup'];
    for (const code of begin) expect(statusOfCode(code)).toMatchObject({ newLeg: true });
    for (const code of ['in_transit', 'scanned', 'delivered', 'exception', 'delivery', 'pending', 'unknown'])
      expect(statusOfCode(code)).toMatchObject({ newLeg: false });
  });

  test('folding twice is folding once', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        expect(foldCode(foldCode(text))).toBe(foldCode(text));
      }),
      { examples: [['İn Tränsit']] },
    );
  });
});
