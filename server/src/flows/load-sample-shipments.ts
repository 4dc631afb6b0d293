import { readFile } from 'node:fs/promises';
import type { Currency } from '../core/money.ts';
import { type Clock, dayMs, formatInstant, type Instant, minuteMs } from '../core/time.ts';
import type { Shipment, ShipmentDetail, ShipmentFilter } from '../domains/shipments/shipment.ts';
import { createShipmentMaker } from '../domains/shipments/shipment-generator.ts';
import type { Shipments } from '../domains/shipments/shipments-service.ts';
import { shipmentKeyOf } from '../domains/shipments/tracking-key.ts';
import { packagedFile } from './packaged-file.ts';

/** What it works with; an App has all of it. */
export interface SampleShipmentsDeps {
  readonly shipments: Shipments;
  readonly clock: Clock;
}

export interface SampleShipmentsOptions {
  /** Told what was loaded, in a sentence. */
  readonly report: (text: string) => void;
  readonly signal?: AbortSignal;
}

const fileName = 'shipments.csv';
const madeUp = 200;
// So that some have arrived, some are on their way, and some have been silent for longer than five days.
const spreadMs = 12 * dayMs;
// Two servers that start at once make the same.
const roundedToMs = 60 * minuteMs;
const seed = 1;
const currency = 'EUR' as Currency;
const everything: ShipmentFilter = {
  ...{ trackingKey: null, carrierKey: null, statuses: [], cityKey: null, country: null, orderId: null },
  ...{ needsAttention: null, updatedFrom: null, updatedTo: null },
};

/**
 * Imports the brief's file of shipments, and made-up ones beside it, into a database without shipments. All of them or none: they
 * are one file of fewer shipments than the import writes in a transaction.
 */
export async function loadSampleShipments(
  { shipments, clock }: SampleShipmentsDeps,
  { report, signal }: SampleShipmentsOptions,
): Promise<void> {
  if ((await findSomeShipment(shipments)) !== null) return;
  const text = sampleFile(await readFile(packagedFile(fileName), 'utf8'), hourOf(clock.now()));
  const summary = await shipments.imports.importShipments({
    chunks: once(Buffer.from(text)),
    format: 'csv',
    dryRun: false,
    signal: signal ?? new AbortController().signal,
    onProgress() {},
    onRejected: ({ line, detail }) => {
      throw new RangeError(`Row ${line} of the sample shipments is not good: ${detail}.`);
    },
  });
  const { shipmentsCreated: created, articles } = summary;
  if (created > 0) report(`loaded ${created} sample shipments with ${articles} articles`);
}

/** A shipment to look at: that of the brief where it is there, else the newest; null where there is none. */
export async function findSomeShipment(shipments: Shipments): Promise<Shipment | null> {
  const key = shipmentKeyOf('DHL', 'TN12345678');
  const found = key === null ? null : await shipments.findShipment(key);
  if (found !== null) return found;
  const { items } = await shipments.listShipments({ filter: everything, direction: 'newest', limit: 1, after: null });
  return items[0] ?? null;
}

const hourOf = (at: Instant): Instant => (at - (at % roundedToMs)) as Instant;

async function* once(chunk: Buffer): AsyncGenerator<Buffer> {
  yield chunk;
}

/** The rows of the brief's file as they are, with empty cells for three more columns; then those of made-up shipments. */
function sampleFile(briefs: string, now: Instant): string {
  const [header = '', ...rows] = briefs.trim().split(/\r?\n/);
  const make = createShipmentMaker({ count: madeUp, from: (now - spreadMs) as Instant, to: now, seed, currency });
  return [
    `${header},status_at,expected_on,currency`,
    ...rows.map((row) => `${row},,,${currency}`),
    ...Array.from({ length: madeUp }, (_, i) => rowsOf(make(i + 1).shipment)).flat(),
    '',
  ].join('\n');
}

/** One row an article or an event, whichever are more: the last article is told again with the events that are left. */
function rowsOf({
  carrier,
  trackingNumber,
  sender,
  receiver,
  articles,
  expectedOn,
  ...rest
}: ShipmentDetail): string[] {
  const events = [...rest.events].reverse();
  return Array.from({ length: Math.max(articles.length, events.length) }, (_, i) => {
    const article = articles[Math.min(i, articles.length - 1)];
    const event = events[i];
    return [
      ...[trackingNumber, carrier, sender?.address, receiver?.address],
      ...[article?.name, article?.quantity, ((article?.unitPrice ?? 0) / 100).toFixed(2), article?.sku],
      ...[event?.code, event === undefined ? '' : formatInstant(event.occurredAt), expectedOn, currency],
    ]
      .map((cell) => `"${String(cell ?? '').replaceAll('"', '""')}"`)
      .join(',');
  });
}
