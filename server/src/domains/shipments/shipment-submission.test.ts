import { describe, expect, test } from 'vitest';
import { fieldErrorsOf } from '../../core/validation.ts';
import { eventSubmission, referencedEvent, shipmentSubmission } from './shipment-submission.ts';

const least = { carrier: 'DHL', tracking_number: 'TN1' };
const article = { name: 'Laptop', quantity: 1 };
/** The faults of a document, each as "pointer code". */
const faultsOf = (document: unknown): string[] => {
  const parsed = shipmentSubmission.safeParse(document);
  return parsed.success ? [] : fieldErrorsOf(parsed.error).map(({ pointer, code }) => `${pointer} ${code}`);
};
const nul = '\u0000';

describe('a shipment as it is submitted', () => {
  test('needs a carrier and a number; they are trimmed, and kept as given beside their compared form', () => {
    expect(shipmentSubmission.parse({ carrier: ' Fed Ex ', tracking_number: '\t0012-34 ' })).toEqual({
      carrier: 'Fed Ex',
      trackingNumber: '0012-34',
      carrierKey: 'FEDEX',
      trackingKey: '001234',
      sender: null,
      receiver: null,
      currency: null,
      orderId: null,
      expectedOn: null,
      articles: [],
      events: [],
    });
  });

  test('may have all of these', () => {
    const document = {
      ...least,
      sender: { address: 'Street 1, 10115 Berlin, Germany', city: 'Berlin-Mitte', country: 'germany' },
      receiver_address: 'Street 10, 75001 Paris, France',
      currency: 'EUR',
      order_id: '0197C0B9-3E00-7A5C-9F3E-5D2F8C1B7A60',
      expected_on: '2026-02-28',
      articles: [{ sku: 'A', name: 'Laptop', quantity: 2 ** 31 - 1, unit_price: 2 ** 53 - 1 }, article],
      events: [{ code: 'scanned', occurred_at: '2026-02-01T10:00:00.1239+01:00', city: 'Leipzig' }],
    };
    const nothing = { street: null, postalCode: null, city: null, country: null };
    expect(shipmentSubmission.parse(document)).toMatchObject({
      sender: { ...nothing, address: 'Street 1, 10115 Berlin, Germany', city: 'Berlin-Mitte', country: 'DE' },
      receiver: { ...nothing, address: 'Street 10, 75001 Paris, France' },
      orderId: '0197c0b9-3e00-7a5c-9f3e-5d2f8c1b7a60',
      expectedOn: '2026-02-28',
      articles: [{ unitPrice: 2 ** 53 - 1 }, { sku: null, unitPrice: null }],
      events: [{ code: 'scanned', occurredAt: Date.parse('2026-02-01T09:00:00.123Z'), city: 'Leipzig' }],
    });
  });

  test.each<[string, object, string[]]>([
    ['nothing', {}, ['/carrier required', '/tracking_number required']],
    ['a number of spaces', { tracking_number: '  ' }, ['/tracking_number too_small']],
    ['a number of hyphens', { tracking_number: '--' }, ['/tracking_number invalid_value']],
    ['a carrier of hyphens', { carrier: '-' }, ['/carrier invalid_value']],
    ['a number of 65 characters', { tracking_number: '1'.repeat(65) }, ['/tracking_number too_big']],
    ['NUL', { tracking_number: `1${nul}` }, ['/tracking_number invalid_value']],
    ['a lone surrogate', { carrier: '\ud800' }, ['/carrier invalid_value']],
    ['an unknown field', { weight: 1 }, ['/weight unknown_field']],
    ['an unknown field of an article', { articles: [{ ...article, colour: 1 }] }, ['/articles/0/colour unknown_field']],
    ['an address twice', { sender: { address: 'A' }, sender_address: 'A' }, ['/sender_address ambiguous']],
    ['no country', { receiver: { address: 'A', country: 'Atlantis' } }, ['/receiver/country invalid_value']],
    ['no currency', { currency: 'XXX' }, ['/currency invalid_value']],
    ['no order id', { order_id: 'ORD1' }, ['/order_id invalid_value']],
    ['a day that does not exist', { expected_on: '2026-02-30' }, ['/expected_on invalid_value']],
    ['an instant for a day', { expected_on: '2026-02-20T00:00:00Z' }, ['/expected_on invalid_value']],
    ['501 articles', { articles: Array.from({ length: 501 }, () => article) }, ['/articles too_big']],
    ['no quantity', { articles: [{ name: 'A' }] }, ['/articles/0/quantity required']],
    ['a quantity of 0', { articles: [{ ...article, quantity: 0 }] }, ['/articles/0/quantity too_small']],
    ['a quantity of 2^31', { articles: [{ ...article, quantity: 2 ** 31 }] }, ['/articles/0/quantity too_big']],
    ['half an article', { articles: [{ ...article, quantity: 0.5 }] }, ['/articles/0/quantity invalid_type']],
    ['a negative price', { articles: [{ ...article, unit_price: -1 }] }, ['/articles/0/unit_price too_small']],
    ['a price of 2^53', { articles: [{ ...article, unit_price: 2 ** 53 }] }, ['/articles/0/unit_price too_big']],
    ['a price as text', { articles: [{ ...article, unit_price: '8' }] }, ['/articles/0/unit_price invalid_type']],
    ['an article twice', { articles: [article, { ...article, sku: 'A' }, article] }, ['/articles/2/name duplicate']],
    [
      'a sku twice',
      { articles: ['B', 'C'].map((name) => ({ sku: 'A', name, quantity: 1 })) },
      ['/articles/1/sku duplicate'],
    ],
    ['an event without code', { events: [{}] }, ['/events/0/code required']],
    [
      'an event without zone',
      { events: [{ code: 'a', occurred_at: '2026-02-01T10:00:00' }] },
      ['/events/0/occurred_at invalid_value'],
    ],
  ])('is refused with %s', (_what, more, faults) => {
    const document = Object.keys(more).length === 0 ? more : { ...least, ...more };
    for (const fault of faults) expect(faultsOf(document)).toContain(fault);
  });

  test.each([null, [], 'x', 1, undefined])('%j is no document', (document) => {
    expect(faultsOf(document)).not.toEqual([]);
  });
});

describe('an event as it is submitted', () => {
  test('says its code by one of two names', () => {
    expect(eventSubmission.parse({ status: ' In Transit ' })).toMatchObject({ code: 'In Transit', occurredAt: null });
    const both = eventSubmission.safeParse({ code: 'a', status: 'a' });
    expect(both.success ? [] : fieldErrorsOf(both.error)).toMatchObject([{ pointer: '/status', code: 'ambiguous' }]);
  });

  test('in bulk says which shipment it belongs to', () => {
    expect(referencedEvent.parse({ ...least, tracking_number: 'tn-1', code: 'scanned' })).toMatchObject({
      key: { carrierKey: 'DHL', trackingKey: 'TN1' },
      event: { code: 'scanned' },
    });
    expect(referencedEvent.safeParse({ carrier: 'DHL', code: 'scanned' }).success).toBe(false);
  });
});
