import { hash } from 'node:crypto';
import type { ShipmentId } from '../../core/ids.ts';
import type { Currency } from '../../core/money.ts';
import type { Instant, PlainDate } from '../../core/time.ts';
import type { DecidingEvent, ShipmentStatus, StatusEvent } from './shipment-status.ts';
import type { ShipmentKey } from './tracking-key.ts';

/** An address as given, and what could be read out of it; null is what could not. */
export interface Address {
  readonly address: string;
  readonly street: string | null;
  readonly postalCode: string | null;
  readonly city: string | null;
  /** ISO 3166-1 alpha-2. */
  readonly country: string | null;
}

export interface Article {
  readonly sku: string | null;
  readonly name: string;
  readonly quantity: number;
  /** In minor units of the shipment's currency, at most 2^53 - 1; null where nobody said. */
  readonly unitPrice: number | null;
}

/** Something that happened to a shipment, as it is stored. */
export interface ShipmentEvent extends StatusEvent {
  readonly recordedAt: Instant;
  readonly description: string | null;
  readonly city: string | null;
  /** ISO 3166-1 alpha-2 where it could be read as such, else as given. */
  readonly country: string | null;
  readonly actor: string;
}

/** A shipment as it is stored, without its articles and events. */
export interface Shipment extends ShipmentKey {
  readonly shipmentId: ShipmentId;
  /** As given. */
  readonly carrier: string;
  /** As given. */
  readonly trackingNumber: string;
  readonly sender: Address | null;
  readonly receiver: Address | null;
  readonly currency: Currency;
  /** A UUID; whether there is such an order is not checked. */
  readonly orderId: string | null;
  readonly expectedOn: PlainDate | null;
  readonly status: ShipmentStatus;
  /** Null while no event decides: it was announced and no more. */
  readonly decidedBy: DecidingEvent | null;
  /** The highest seq of any event, 0 before the first. */
  readonly lastSeq: number;
  /** When it was last seen to move; before that, when it was created. */
  readonly movedAt: Instant;
  /** Rises with every change: the ETag. */
  readonly version: number;
  readonly createdAt: Instant;
  readonly updatedAt: Instant;
}

export interface ShipmentDetail extends Shipment {
  /** In the order they were given. */
  readonly articles: readonly Article[];
  /** Newest first, by (occurredAt, seq). */
  readonly events: readonly ShipmentEvent[];
}

/** An event as somebody reports it: null is what they left out. Without `occurredAt` it happens now. */
export interface NewEvent {
  /** The carrier's word, as given: shipment-status-codes.ts says what it means. */
  readonly code: string;
  readonly occurredAt: Instant | null;
  readonly description: string | null;
  readonly city: string | null;
  readonly country: string | null;
}

/** A shipment as somebody submits it: null is what they left out, in its addresses too (`toldAddress`). */
export interface NewShipment extends ShipmentKey {
  readonly carrier: string;
  readonly trackingNumber: string;
  readonly sender: Address | null;
  readonly receiver: Address | null;
  readonly currency: Currency | null;
  readonly orderId: string | null;
  readonly expectedOn: PlainDate | null;
  /** No two with the same `articleKeyOf`. */
  readonly articles: readonly Article[];
  /** What happened to it already, in any order. */
  readonly events: readonly NewEvent[];
}

/** What a list and a count select by; null and an empty list select everything. Several conditions: all of them. */
export interface ShipmentFilter {
  /** `normalisedName` of the number. */
  readonly trackingKey: string | null;
  /** `normalisedName` of the carrier. */
  readonly carrierKey: string | null;
  readonly statuses: readonly ShipmentStatus[];
  /** `cityKey` of the receiver's city. */
  readonly cityKey: string | null;
  /** The receiver's, ISO 3166-1 alpha-2. */
  readonly country: string | null;
  readonly orderId: string | null;
  /** Only those with an exception, silent for so long, or past their expected day. */
  readonly needsAttention: { readonly silentMs: number } | null;
  /** Inclusive. */
  readonly updatedFrom: Instant | null;
  /** Exclusive. */
  readonly updatedTo: Instant | null;
}

/** An address of which only the text was told; address.ts reads the rest out of it when it is stored. */
export const toldAddress = (address: string): Address => ({
  address,
  street: null,
  postalCode: null,
  city: null,
  country: null,
});

// Longer ones stand in the index by their hash: an entry holds 2,704 bytes.
const maxKeyLength = 100;

/** What an article is known by within its shipment: its SKU, else its name. The letter keeps the two apart. */
export function articleKeyOf({ sku, name }: Pick<Article, 'sku' | 'name'>): string {
  const key = sku === null ? `n:${name}` : `s:${sku}`;
  return key.length <= maxKeyLength ? key : `${key.slice(0, 1)}#${hash('sha256', key, 'hex')}`;
}

// An entry of its index holds 2,704 bytes, and compatibility form may make eighteen characters of one.
const maxCityKeyLength = 200;

/** A city as it is compared: lower case, without accents ("Zürich" and "zurich" are the same), at most 200 UTF-16 units. */
export const cityKey = (city: string): string => (plainCity.test(city) ? city.toLowerCase() : foldedCity(city));

const plainCity = /^[A-Za-z]+(?: [A-Za-z]+)*$/;

const foldedCity = (city: string): string =>
  city
    .trim()
    .normalize('NFKD')
    .replace(/\p{M}+/gu, '')
    .toLowerCase()
    .replace(/ß/g, 'ss')
    .replace(/\s+/gu, ' ')
    .slice(0, maxCityKeyLength)
    .toWellFormed();

/**
 * A fingerprint of what was submitted, before defaults and without the events: the same document sent again has the same one.
 * Names count as they are compared, so that "TN 1" and "tn-1" are the same document. 16 bytes of SHA-256 in hexadecimal.
 */
export function contentHashOf(shipment: NewShipment): string {
  const canonical = JSON.stringify([
    shipment.carrierKey,
    shipment.trackingKey,
    addressParts(shipment.sender),
    addressParts(shipment.receiver),
    shipment.currency,
    shipment.orderId,
    shipment.expectedOn,
    shipment.articles.map(({ sku, name, quantity, unitPrice }) => [sku, name, quantity, unitPrice]),
  ]);
  return hash('sha256', canonical, 'hex').slice(0, 32);
}

const addressParts = (told: Address | null): readonly (string | null)[] | null =>
  told === null ? null : [told.address, told.street, told.postalCode, told.city, told.country];

/** Codes of this domain. HTTP maps each to a status; none may be left out there. */
export type ShipmentErrorCode =
  | 'shipment_not_found'
  | 'shipment_key_reused'
  | 'shipment_refused'
  | 'occurred_at_in_future'
  | 'event_refused';
