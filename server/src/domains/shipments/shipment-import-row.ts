import { type BoundColumns, bindColumns, type ColumnMap, type WantedColumn } from '../../core/csv-columns.ts';
import { parseOrderId } from '../../core/ids.ts';
import { readQuantity } from '../../core/import-cells.ts';
import type { RowFault } from '../../core/import-line.ts';
import { type Currency, parseCurrency } from '../../core/money.ts';
import { isStorableText } from '../../core/text.ts';
import { type Instant, type PlainDate, parseInstant, parsePlainDate } from '../../core/time.ts';
import { futureToleranceMs } from './shipment-status.ts';
import {
  maxAddressLength,
  maxArticleNameLength,
  maxCodeLength,
  maxQuantity,
  maxSkuLength,
} from './shipment-submission.ts';
import { maxNameLength, type ShipmentKey, shipmentKeyOf } from './tracking-key.ts';

/** The columns of a CSV file and the fields of NDJSON: one row an article. */
const columns = {
  tracking_number: { names: ['tracking_number', 'tracking_no', 'tracking'], required: true },
  carrier: { names: ['carrier', 'courier'], required: true },
  sender_address: { names: ['sender_address', 'sender'], required: false },
  receiver_address: { names: ['receiver_address', 'receiver', 'recipient_address'], required: false },
  article_name: { names: ['article_name', 'article'], required: false },
  article_quantity: { names: ['article_quantity', 'quantity'], required: false },
  article_price: { names: ['article_price', 'price', 'unit_price'], required: false },
  sku: { names: ['sku'], required: false },
  status: { names: ['status'], required: false },
  status_at: { names: ['status_at'], required: false },
  order_id: { names: ['order_id'], required: false },
  expected_on: { names: ['expected_on'], required: false },
  currency: { names: ['currency'], required: false },
} as const satisfies Record<string, WantedColumn>;

export type ShipmentField = keyof typeof columns;

export const shipmentFields = Object.keys(columns) as ShipmentField[];

/** @throws ImportFileError naming the columns that are missing or doubled */
export const bindShipmentColumns = (header: readonly string[], map: ColumnMap): BoundColumns<ShipmentField> =>
  bindColumns<ShipmentField>(header, columns, map);

/** An article as a row has it; the price as it stands, since its currency may stand on another row. */
export interface RowArticle {
  readonly sku: string | null;
  readonly name: string;
  readonly quantity: number;
  /** In major units, not judged yet; null = the row says nothing. */
  readonly price: string | null;
}

/** A row that is good by itself. Null = the row says nothing about it. */
export interface ShipmentRow {
  readonly key: ShipmentKey;
  readonly carrier: string;
  readonly trackingNumber: string;
  readonly sender: string | null;
  readonly receiver: string | null;
  readonly article: RowArticle | null;
  readonly status: { readonly code: string; readonly at: Instant | null } | null;
  readonly orderId: string | null;
  readonly expectedOn: PlainDate | null;
  readonly currency: Currency | null;
}

/** The cell of a field without blanks around it; '' where there is none. */
export type ShipmentCell = (field: ShipmentField) => string;

// UTF-16 units.
const longest: readonly (readonly [field: ShipmentField, length: number])[] = [
  ['sender_address', maxAddressLength],
  ['receiver_address', maxAddressLength],
  ['article_name', maxArticleNameLength],
  ['sku', maxSkuLength],
  ['status', maxCodeLength],
];

// As spreadsheets write numbers that are too long for them: the digits behind are lost.
const spoiledNumber = /^\d([.,]\d+)?E\+\d+$/i;

const faultOf = (code: string, detail: string): RowFault => ({ code, detail });

/** The shipment a row belongs to. Rows of one shipment have the same key, however carrier and number are written. */
export function readShipmentKey(cell: ShipmentCell): ShipmentKey | RowFault {
  const carrier = cell('carrier');
  const trackingNumber = cell('tracking_number');
  if (trackingNumber === '') return faultOf('tracking_number_missing', 'tracking_number is empty');
  if (carrier === '') return faultOf('carrier_missing', 'carrier is empty');
  if (spoiledNumber.test(trackingNumber))
    return faultOf(
      'tracking_number_spoiled',
      `the tracking number "${trackingNumber}" was rounded by a spreadsheet and its digits are lost: give the column the format Text, enter the numbers anew and export the file again`,
    );
  for (const [name, text] of [
    ['carrier', carrier],
    ['tracking_number', trackingNumber],
  ] as const) {
    if (text.length > maxNameLength)
      return faultOf(`${name}_too_long`, `${name} has more than ${maxNameLength} characters`);
    if (!isStorableText(text)) return faultOf(`${name}_invalid`, `${name} holds a NUL character or half a character`);
  }
  return (
    shipmentKeyOf(carrier, trackingNumber) ??
    faultOf('tracking_number_invalid', `"${carrier}" and "${trackingNumber}" have nothing left to compare them by`)
  );
}

/** Judges a row by itself, but for its price. @param now no status may be further ahead than 5 minutes */
export function readShipmentRow(cell: ShipmentCell, now: Instant): ShipmentRow | RowFault {
  const key = readShipmentKey(cell);
  if ('code' in key) return key;
  for (const [field, length] of longest) {
    const text = cell(field);
    if (text.length > length) return faultOf(`${field}_too_long`, `${field} has more than ${length} characters`);
    if (!isStorableText(text)) return faultOf(`${field}_invalid`, `${field} holds a NUL character or half a character`);
  }
  const article = readArticle(cell);
  if (article !== null && 'code' in article) return article;
  const status = readStatus(cell, now);
  if (status !== null && 'detail' in status) return status;
  const rest = readRest(cell);
  if ('code' in rest) return rest;
  return {
    key,
    carrier: cell('carrier'),
    trackingNumber: cell('tracking_number'),
    sender: cell('sender_address') || null,
    receiver: cell('receiver_address') || null,
    article,
    status,
    ...rest,
  };
}

/** Null for a row without anything of an article. */
function readArticle(cell: ShipmentCell): RowArticle | RowFault | null {
  const name = cell('article_name');
  const quantityText = cell('article_quantity');
  const price = cell('article_price') || null;
  const sku = cell('sku') || null;
  if (name === '' && quantityText === '' && price === null && sku === null) return null;
  if (name === '') return faultOf('article_name_missing', 'article_name is empty');
  if (quantityText === '') return faultOf('quantity_missing', 'article_quantity is empty');
  const quantity = readQuantity(quantityText);
  if (typeof quantity !== 'number') return quantity;
  if (quantity < 0) return faultOf('quantity_negative', `the quantity ${quantityText} is negative`);
  if (quantity > maxQuantity) return faultOf('quantity_too_large', `the quantity ${quantityText} is too large`);
  return { sku, name, quantity, price };
}

function readStatus(cell: ShipmentCell, now: Instant): ShipmentRow['status'] | RowFault {
  const code = cell('status');
  const text = cell('status_at');
  if (code === '')
    return text === '' ? null : faultOf('status_missing', `status_at is ${text.slice(0, 60)} and status is empty`);
  if (text === '') return { code, at: null };
  const at = parseInstant(text);
  if (at === null)
    return faultOf(
      'status_at_invalid',
      `status_at "${text.slice(0, 60)}" is not a date and time with a zone such as 2026-06-30T12:30:00Z`,
    );
  if (at > now + futureToleranceMs)
    return faultOf('status_at_in_future', `status_at ${text} is more than 5 minutes ahead`);
  return { code, at };
}

function readRest(cell: ShipmentCell): Pick<ShipmentRow, 'orderId' | 'expectedOn' | 'currency'> | RowFault {
  const orderText = cell('order_id');
  const orderId = orderText === '' ? null : parseOrderId(orderText);
  if (orderText !== '' && orderId === null)
    return faultOf(
      'order_id_invalid',
      `order_id "${orderText.slice(0, 60)}" is not the id of an order: a UUID of version 7`,
    );
  const expectedText = cell('expected_on');
  const expectedOn = expectedText === '' ? null : parsePlainDate(expectedText);
  if (expectedText !== '' && expectedOn === null)
    return faultOf('expected_on_invalid', `expected_on "${expectedText.slice(0, 60)}" is not a day such as 2026-06-30`);
  const code = cell('currency');
  const currency = code === '' ? null : parseCurrency(code.toUpperCase());
  if (code !== '' && currency === null)
    return faultOf('currency_invalid', `the currency "${code.slice(0, 60)}" is not an ISO 4217 code such as EUR`);
  return { orderId, expectedOn, currency };
}
