import { describe, expect, test } from 'vitest';
import { fieldErrorsOf } from '../../core/validation.ts';
import { contentHashOf, type NewOrder } from './order.ts';
import { maxItems, maxStatuses, orderSubmission, orderWithHistory } from './order-submission.ts';

const brief = `{"order_id": "ORD123456", "customer_id": "CUST789", "timestamp": "2025-06-30T12:30:00Z",
  "items": [{"sku": "SHOE001", "quantity": 1, "price": 2999}, {"sku": "BAG002", "quantity": 2, "price": 1999}]}`;
const minimal = { customer_id: 'C', items: [{ sku: 'A', quantity: 1, unit_price: 1 }] };

function parse(
  document: unknown,
  schema: typeof orderSubmission | typeof orderWithHistory = orderSubmission,
): NewOrder {
  return schema.parse(document);
}
function faultsOf(
  document: unknown,
  schema: typeof orderSubmission | typeof orderWithHistory = orderSubmission,
): string[] {
  const result = schema.safeParse(document);
  return result.success ? [] : fieldErrorsOf(result.error).map(({ pointer, code }) => `${pointer} ${code}`);
}
const withItem = (item: object) => ({ ...minimal, items: [{ ...minimal.items[0], ...item }] });

describe('a submitted order', () => {
  test('may be the document of the brief, unchanged', () => {
    expect(parse(JSON.parse(brief))).toEqual({
      customerId: 'CUST789',
      orderNumber: 'ORD123456',
      placedAt: Date.parse('2025-06-30T12:30:00Z'),
      currency: null,
      items: [
        { sku: 'SHOE001', quantity: 1, unit_price: 2999 },
        { sku: 'BAG002', quantity: 2, unit_price: 1999 },
      ],
      total: 6997,
      statuses: null,
    });
    expect(parse(JSON.parse(brief), orderWithHistory)).toEqual(parse(JSON.parse(brief)));
  });

  test('has the same content whichever names its fields had', () => {
    const own = JSON.parse(
      brief
        .replace('"order_id"', '"order_number"')
        .replace('"timestamp"', '"placed_at"')
        .replaceAll('"price"', '"unit_price"'),
    );
    expect(contentHashOf(parse(own))).toEqual(contentHashOf(parse(JSON.parse(brief))));
  });

  test.each([
    ['customer_id', 'other'],
    ['order_id', 'other'],
    ['timestamp', '2025-06-30T12:30:00.001Z'],
    ['currency', 'EUR'],
    ['items', [{ sku: 'SHOE001', quantity: 1, price: 2999 }]],
    [
      'items',
      [
        { sku: 'SHOE001', name: 'Shoe', quantity: 1, price: 2999 },
        { sku: 'BAG002', quantity: 2, price: 1999 },
      ],
    ],
    [
      'items',
      [
        { sku: 'BAG002', quantity: 2, price: 1999 },
        { sku: 'SHOE001', quantity: 1, price: 2999 },
      ],
    ],
  ])('has another content with another %s (%j)', (field, value) => {
    const other = parse({ ...JSON.parse(brief), [field]: value });
    expect(contentHashOf(other)).not.toEqual(contentHashOf(parse(JSON.parse(brief))));
  });

  test('has a fingerprint that never changes between versions: replays of years ago must be recognised', () => {
    expect(contentHashOf(parse(JSON.parse(brief)))).toBe('e2c24199d9ffd07239fefa5da1969e11');
  });

  test.each([
    [{ order_id: 'A', order_number: 'A' }, '/order_id ambiguous'],
    [{ timestamp: '2025-06-30T12:30:00Z', placed_at: '2025-06-30T12:30:00Z' }, '/timestamp ambiguous'],
  ])('names one thing once: %j', (more, fault) => {
    expect(faultsOf({ ...minimal, ...more })).toEqual([fault]);
  });

  test('names one price once, and has one', () => {
    expect(faultsOf(withItem({ price: 1 }))).toEqual(['/items/0/price ambiguous']);
    expect(faultsOf({ customer_id: 'C', items: [{ sku: 'A', quantity: 1 }] })).toEqual([
      '/items/0/unit_price required',
    ]);
  });

  test.each<[string, unknown, string[]]>([
    ['nothing', {}, ['/customer_id required', '/items required']],
    ['null', null, [' invalid_type']],
    ['an array', [], [' invalid_type']],
    ['a text', 'order', [' invalid_type']],
    ['no items', { ...minimal, items: [] }, ['/items too_small']],
    [
      'too many items',
      { ...minimal, items: Array.from({ length: maxItems + 1 }, () => minimal.items[0]) },
      ['/items too_big'],
    ],
    ['an unknown field', { ...minimal, total: 5 }, ['/total unknown_field']],
    ['an unknown field of an item', withItem({ colour: 'red' }), ['/items/0/colour unknown_field']],
    ['a customer that is a number', { ...minimal, customer_id: 7 }, ['/customer_id invalid_type']],
    ['a customer without a name', { ...minimal, customer_id: '' }, ['/customer_id too_small']],
    ['a customer with a long name', { ...minimal, customer_id: 'x'.repeat(201) }, ['/customer_id too_big']],
    ['a long number', { ...minimal, order_number: 'x'.repeat(101) }, ['/order_number too_big']],
    ['null for a field', { ...minimal, order_number: null }, ['/order_number invalid_type']],
    ['NUL', { ...minimal, customer_id: 'a\u0000b' }, ['/customer_id invalid_value']],
    ['a lone surrogate', withItem({ sku: '\ud83d' }), ['/items/0/sku invalid_value']],
    ['a lone surrogate in a name', withItem({ name: 'x\udfff' }), ['/items/0/name invalid_value']],
    ['no quantity', withItem({ quantity: 0 }), ['/items/0/quantity too_small']],
    ['a negative quantity', withItem({ quantity: -1 }), ['/items/0/quantity too_small']],
    ['a fraction', withItem({ quantity: 1.5 }), ['/items/0/quantity invalid_type']],
    ['a quantity of 2^53', withItem({ quantity: 2 ** 53 }), ['/items/0/quantity too_big']],
    ['a negative price', withItem({ unit_price: -1 }), ['/items/0/unit_price too_small']],
    ['a price in major units', withItem({ unit_price: 29.99 }), ['/items/0/unit_price invalid_type']],
    ['a price of 2^53', withItem({ unit_price: 2 ** 53 }), ['/items/0/unit_price too_big']],
    ['a price as text', withItem({ unit_price: '2999' }), ['/items/0/unit_price invalid_type']],
    ['a sum beyond 2^53 - 1', withItem({ quantity: 2, unit_price: 2 ** 52 }), ['/items too_large']],
    ['a sum far beyond it', withItem({ quantity: 2 ** 53 - 1, unit_price: 2 ** 53 - 1 }), ['/items too_large']],
    ['an instant without a zone', { ...minimal, placed_at: '2025-06-30T12:30:00' }, ['/placed_at invalid_value']],
    ['an instant that is a number', { ...minimal, placed_at: 1 }, ['/placed_at invalid_type']],
    ['year 0', { ...minimal, placed_at: '0001-01-01T00:00:00+01:00' }, ['/placed_at invalid_value']],
    ['no currency', { ...minimal, currency: 'constructor' }, ['/currency invalid_value']],
    ['a history', { ...minimal, statuses: [] }, ['/statuses unknown_field']],
  ])('is refused with %s', (_, document, faults) => {
    expect(faultsOf(document)).toEqual(faults);
  });

  test('has no field __proto__, outside or inside', () => {
    const text =
      '{"customer_id":"C","__proto__":{"items":[]},"items":[{"sku":"A","quantity":1,"price":1,"__proto__":{"price":0}}]}';
    expect(faultsOf(JSON.parse(text)).sort()).toEqual(['/__proto__ unknown_field', '/items/0/__proto__ unknown_field']);
    expect(
      faultsOf(JSON.parse('{"__proto__":{"customer_id":"C"},"items":[{"sku":"A","quantity":1,"price":1}]}')).sort(),
    ).toEqual(['/__proto__ unknown_field', '/customer_id required']);
  });

  test('adds up exactly to the last minor unit', () => {
    expect(parse(withItem({ quantity: 1, unit_price: 2 ** 53 - 1 })).total).toBe(Number.MAX_SAFE_INTEGER);
    const items = [
      { sku: 'A', quantity: 3, unit_price: 2 ** 51 },
      { sku: 'B', quantity: 1, unit_price: 2 ** 51 - 1 },
    ];
    expect(parse({ ...minimal, items }).total).toBe(Number.MAX_SAFE_INTEGER);
    expect(parse(withItem({ quantity: 94_906_265, unit_price: 94_906_265 })).total).toBe(9_007_199_136_250_225);
  });

  test('truncates its instant to milliseconds', () => {
    expect(parse({ ...minimal, placed_at: '2025-06-30T23:59:59.999999Z' }).placedAt).toBe(
      Date.parse('2025-06-30T23:59:59.999Z'),
    );
  });
});

describe('a history', () => {
  const row = { status: 'complete', occurred_at: '2025-06-30T12:30:00Z' };
  test('reads failed as cancelled for a failed payment', () => {
    const statuses = [
      { ...row, status: 'failed' },
      { ...row, status: 'failed', reason: 'card' },
      { ...row, event_key: 'e' },
    ];
    expect(parse({ ...minimal, statuses }, orderWithHistory).statuses).toMatchObject([
      { status: 'cancelled', reason: 'payment_failed', eventKey: null },
      { status: 'cancelled', reason: 'card' },
      { status: 'complete', reason: null, eventKey: 'e' },
    ]);
  });

  test('is no part of the content by which a replay is known', () => {
    const plain = parse(minimal, orderWithHistory);
    expect(contentHashOf(parse({ ...minimal, statuses: [row] }, orderWithHistory))).toEqual(contentHashOf(plain));
  });

  test.each<[object, string]>([
    [{ status: 'shipped' }, '/statuses/0/status invalid_value'],
    [{ occurred_at: undefined }, '/statuses/0/occurred_at required'],
    [{ occurred_at: 'yesterday' }, '/statuses/0/occurred_at invalid_value'],
    [{ event_key: '' }, '/statuses/0/event_key too_small'],
    [{ event_key: 'x'.repeat(201) }, '/statuses/0/event_key too_big'],
    [{ reason: '\u0000' }, '/statuses/0/reason invalid_value'],
    [{ actor: 'me' }, '/statuses/0/actor unknown_field'],
  ])('is refused with %j', (more, fault) => {
    expect(faultsOf({ ...minimal, statuses: [{ ...row, ...more }] }, orderWithHistory)).toEqual([fault]);
  });

  test('has an end', () => {
    const statuses = Array.from({ length: maxStatuses + 1 }, () => row);
    expect(faultsOf({ ...minimal, statuses }, orderWithHistory)).toEqual(['/statuses too_big']);
  });
});
