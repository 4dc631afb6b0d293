import { type Bucket, bucketOf } from '../../core/bucket.ts';
import { isStorableText } from '../../core/text.ts';

/** Carrier and tracking number in the form they are compared in; together they are a shipment's key. */
export interface ShipmentKey {
  readonly carrierKey: string;
  readonly trackingKey: string;
}

/** Carrier and tracking number have at most so many UTF-16 units as given, without the space around them. */
export const maxNameLength = 64;

// White space of every kind, and every dash that Unicode knows, the minus sign and the soft hyphen among them.
const ignored = /[\s\p{Pd}\u00ad\u2212\u200b-\u200d\u2060\ufeff]+/gu;

// What nearly every name is: printable ASCII without space and hyphen. Upper case is all there is to do, at a tenth of the time.
const plainAscii = /^[!-,.-~]+$/;

const plainName = /^[0-9A-Z]*$/;

/**
 * Text as it is compared: in compatibility form (full-width digits become digits), upper case without regard to a locale, without
 * spaces and dashes. Leading zeros stay. Applying it again changes nothing. '' when nothing remains.
 */
export function normalisedName(text: string): string {
  // Most are so already, and imports ask for each row three times.
  if (plainName.test(text)) return text;
  if (plainAscii.test(text)) return text.toUpperCase();
  // Upper case may bring back what compatibility form has taken apart, and the other way round: until neither changes anything.
  for (let before = text.replace(ignored, ''); ; ) {
    const after = before.normalize('NFKC').toUpperCase().normalize('NFKC').replace(ignored, '');
    if (after === before) return after;
    before = after;
  }
}

// Some characters become many (one Arabic ligature becomes 18), and an index entry holds 2,704 bytes.
const maxKeyLength = 128;

const isKey = (text: string): boolean => text !== '' && text.length <= maxKeyLength && isStorableText(text);

/** A carrier or a number as it is compared, or null when nothing remains of it, or no database could hold it. */
export function nameKeyOf(given: string): string | null {
  const key = normalisedName(given);
  return isKey(key) ? key : null;
}

/** The key of a shipment, or null when nothing remains to compare of its carrier or number, or no database could hold it. */
export function shipmentKeyOf(carrier: string, trackingNumber: string): ShipmentKey | null {
  const key = { carrierKey: normalisedName(carrier), trackingKey: normalisedName(trackingNumber) };
  return isKey(key.carrierKey) && isKey(key.trackingKey) ? key : null;
}

/** A shipment's home. @throws RangeError for a lone surrogate */
export const bucketOfShipment = ({ carrierKey, trackingKey }: ShipmentKey): Bucket =>
  bucketOf(`${carrierKey}/${trackingKey}`);

/** A key as one text, for maps: no key holds a space. */
export const keyText = ({ carrierKey, trackingKey }: ShipmentKey): string => `${carrierKey} ${trackingKey}`;

/** Orders keys as their primary key does, bytes by bytes but for characters beyond U+FFFF; all writers agree on it. */
export const byShipmentKey = (a: ShipmentKey, b: ShipmentKey): number =>
  compare(a.trackingKey, b.trackingKey) || compare(a.carrierKey, b.carrierKey);

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);
