import { newShipmentId, type RandomBytes } from '../../core/ids.ts';
import type { Currency } from '../../core/money.ts';
import { createRandom, type Random } from '../../core/pseudo-random.ts';
import { dayMs, type Instant, minuteMs, plainDateOf } from '../../core/time.ts';
import { type Address, type Article, contentHashOf, type NewShipment, type ShipmentEvent } from './shipment.ts';
import {
  type GeneratedCarrier,
  type GeneratedCity,
  type GeneratedStep,
  generatedArticles,
  generatedCarriers,
  generatedCities,
} from './shipment-generator-words.ts';
import type { PlacedShipment } from './shipment-placement.ts';
import { deriveStatus } from './shipment-status.ts';
import { statusOfCode } from './shipment-status-codes.ts';
import { bucketOfShipment, normalisedName } from './tracking-key.ts';

export interface GenerateShipmentsOptions {
  readonly count: number;
  /** Shipments are announced in [from, to), evenly, in the order in which they are made; nothing happens at or after `to`. */
  readonly from: Instant;
  readonly to: Instant;
  /** The same options and seed give the same shipments: 0 .. 2^32 - 1. */
  readonly seed: number;
  readonly currency: Currency;
}

export const maxGenerated = 1_000_000_000;

const carrierOfShare: readonly GeneratedCarrier[] = generatedCarriers.flatMap((carrier) =>
  Array.from({ length: carrier.share }, () => carrier),
);
/** What the codes of each carrier mean, looked up once. */
const meanings = new Map(
  generatedCarriers.map(({ name, codes }) => [
    name,
    new Map(Object.values(codes).map((code) => [code, statusOfCode(code)])),
  ]),
);
const carrierKeys = new Map(generatedCarriers.map(({ name }) => [name, normalisedName(name)]));

/**
 * Makes made-up shipments with their articles and events: number n, counted from 1, follows from the options alone (but for the
 * random bits of its id) and costs the same wherever it stands. Pure; some twenty microseconds each.
 */
export function createShipmentMaker(
  { count, from, to, seed, currency }: GenerateShipmentsOptions,
  randomBytes?: RandomBytes,
): (n: number) => PlacedShipment {
  const spanMs = to - from;
  // Three digits that depend on every bit of the seed: people choose round numbers.
  const seedDigits = String(Math.floor(createRandom(seed)() * 1_000)).padStart(3, '0');
  return (n) => {
    const random = createRandom(seed, n);
    const carrier = pick(carrierOfShare, random);
    const createdAt = Math.floor(from + ((n - 1 + random()) / count) * spanMs) as Instant;
    const trackingNumber = `${carrier.prefix}${seedDigits}${ownDigits(n)}`;
    const input: NewShipment = {
      carrierKey: carrierKeys.get(carrier.name) ?? carrier.name,
      trackingKey: trackingNumber,
      carrier: carrier.name,
      trackingNumber,
      sender: someAddress(pick(generatedCities, random), random),
      receiver: someAddress(pick(generatedCities, random), random),
      currency,
      orderId: null,
      expectedOn: plainDateOf((createdAt + 3 * dayMs) as Instant),
      articles: someArticles(random),
      events: [],
    };
    const events = someEvents(carrier, { createdAt, to, random });
    const bucket = bucketOfShipment(input);
    const { receiver, sender } = input;
    return {
      shipment: {
        ...input,
        sender,
        receiver,
        currency,
        shipmentId: newShipmentId(createdAt, bucket, randomBytes),
        ...deriveStatus(events, createdAt),
        version: 1,
        createdAt,
        updatedAt: events[0]?.recordedAt ?? createdAt,
        events,
      },
      bucket,
      contentHash: contentHashOf(input),
      importedStatus: null,
    };
  };
}

const pick = <T>(some: readonly T[], random: Random): T => some[Math.floor(random() * some.length)] as T;

// Prime to ten: consecutive shipments have numbers that look like nothing, and no two the same.
const step = 387_420_489n;

/** Nine digits that are n's alone. */
const ownDigits = (n: number): string => String((BigInt(n) * step) % 1_000_000_000n).padStart(9, '0');

const letters = [...'ABCDEFGHJKLMNPRSTUVWXYZ'];

function someAddress(place: GeneratedCity, random: Random): Address {
  let written = '';
  for (const sign of place.postalCode) {
    if (sign === '#') written += Math.floor(random() * 10);
    else written += sign === '@' ? pick(letters, random) : sign;
  }
  const number = 1 + Math.floor(random() * 120);
  const street = pick(place.streets, random);
  const { city, country, countryName, style } = place;
  if (style === 'continental') {
    const line = `${street} ${number}`;
    return { address: `${line}, ${written} ${city}, ${countryName}`, street: line, postalCode: written, city, country };
  }
  const line = `${number} ${street}`;
  const locality = style === 'british' ? `${city} ${written}` : `${city}, ${written}`;
  // "NY 10###": the state is no part of the code.
  const postalCode = style === 'british' ? written : written.slice(3);
  return { address: `${line}, ${locality}, ${countryName}`, street: line, postalCode, city, country };
}

function someArticles(random: Random): Article[] {
  const count = random() < 0.6 ? 1 : random() < 0.7 ? 2 : 3;
  const first = Math.floor(random() * generatedArticles.length);
  return Array.from({ length: count }, (_, i) => {
    const { sku, name, unitPrice } = generatedArticles[(first + i * 13) % generatedArticles.length] as Article;
    return { sku, name, quantity: 1 + Math.floor(random() * 3), unitPrice };
  });
}

const hourMs = 60 * minuteMs;

/** The ways of a parcel: what happens, and after how many hours at least. */
type Way = readonly (readonly [GeneratedStep, number])[];
const ways: readonly { readonly share: number; readonly way: Way }[] = [
  {
    share: 0.86,
    way: [
      ['pickedUp', 4],
      ['scanned', 8],
      ['out', 20],
      ['delivered', 2],
    ],
  },
  {
    share: 0.93,
    way: [
      ['pickedUp', 4],
      ['scanned', 8],
      ['out', 20],
      ['failed', 2],
      ['out', 20],
      ['delivered', 2],
    ],
  },
  {
    share: 0.96,
    way: [
      ['pickedUp', 4],
      ['scanned', 8],
      ['waiting', 24],
      ['delivered', 10],
    ],
  },
  {
    share: 0.98,
    way: [
      ['pickedUp', 4],
      ['scanned', 8],
      ['out', 20],
      ['failed', 2],
      ['returning', 48],
      ['returned', 48],
    ],
  },
  // Lost on the way.
  {
    share: 1,
    way: [
      ['pickedUp', 4],
      ['scanned', 8],
    ],
  },
];

/** What the carrier reported, newest first. */
function someEvents(
  carrier: GeneratedCarrier,
  { createdAt, to, random }: { readonly createdAt: Instant; readonly to: Instant; readonly random: Random },
): ShipmentEvent[] {
  const lot = random();
  const way = ways.find(({ share }) => lot < share)?.way ?? [];
  const known = meanings.get(carrier.name);
  const events: ShipmentEvent[] = [];
  let at: number = createdAt + 5 * minuteMs;
  for (const [step, hours] of [['announced', 0] as const, ...way]) {
    at = Math.floor(at + hours * hourMs * (1 + random()));
    if (at + minuteMs >= to) break;
    const code = carrier.codes[step];
    const { status, newLeg } = known?.get(code) ?? statusOfCode(code);
    const place = step === 'scanned' ? pick(generatedCities, random) : null;
    events.push({
      seq: events.length + 1,
      code,
      status,
      newLeg,
      occurredAt: at as Instant,
      recordedAt: (at + minuteMs) as Instant,
      description: null,
      city: place?.city ?? null,
      country: place?.country ?? null,
      actor: 'generate',
    });
  }
  return events.reverse();
}
