import { z } from 'zod';
import { parseOrderId } from '../../core/ids.ts';
import { maxMinorUnits } from '../../core/money.ts';
import { isStorableText } from '../../core/text.ts';
import { type PlainDate, parsePlainDate } from '../../core/time.ts';
import { currency, instant, storableText } from '../../core/validation.ts';
import { countryOf } from './country.ts';
import { type Address, type Article, articleKeyOf, type NewEvent, type NewShipment, toldAddress } from './shipment.ts';
import { maxNameLength, type ShipmentKey, shipmentKeyOf } from './tracking-key.ts';

/** Articles of one shipment, however they come. */
export const maxArticles = 500;
const maxEvents = 500;
export const maxAddressLength = 500;
export const maxArticleNameLength = 300;
export const maxSkuLength = 100;
export const maxQuantity = 2 ** 31 - 1;
export const maxCodeLength = 64;

/** Text without the space around it. */
const trimmed = (max: number) =>
  z.string().trim().min(1).max(max).refine(isStorableText, {
    error: 'must hold no NUL character and no lone surrogate',
  });

const plainDate = z.string().transform((text, context): PlainDate => {
  const day = parsePlainDate(text);
  if (day !== null) return day;
  context.addIssue({ code: 'custom', message: 'must be a calendar day, e.g. 2026-11-21' });
  return z.NEVER;
});

const orderId = z.string().transform((text, context): string => {
  const id = parseOrderId(text);
  if (id !== null) return id;
  context.addIssue({ code: 'custom', message: 'must be the order_id of an order: a UUID of version 7' });
  return z.NEVER;
});

const country = z.string().transform((text, context): string => {
  const code = countryOf(text);
  if (code !== null) return code;
  context.addIssue({ code: 'custom', message: 'must be a country: ISO 3166-1, e.g. DE, or its name' });
  return z.NEVER;
});

const addressShape = z
  .strictObject({
    address: storableText(maxAddressLength).meta({
      description:
        'As it is written, e.g. "Street 1, 10115 Berlin, Germany": what is left out below is read out of it.',
    }),
    street: trimmed(300).optional(),
    postal_code: trimmed(20).optional(),
    city: trimmed(200).optional(),
    country: country.optional().meta({ description: 'ISO 3166-1 alpha-2, or the name of a country.' }),
  })
  .transform(
    (told): Address => ({
      address: told.address,
      street: told.street ?? null,
      postalCode: told.postal_code ?? null,
      city: told.city ?? null,
      country: told.country ?? null,
    }),
  );

const minorUnits = z.number().int().min(0).max(maxMinorUnits);

const articleShape = z
  .strictObject({
    sku: trimmed(maxSkuLength).optional().meta({ description: 'What the article is known by; else its name is.' }),
    name: trimmed(maxArticleNameLength),
    quantity: z.number().int().min(1).max(maxQuantity),
    unit_price: minorUnits.optional().meta({ description: 'Minor units: 80000 is 800.00 EUR.' }),
  })
  .transform(
    ({ sku, name, quantity, unit_price }): Article => ({
      sku: sku ?? null,
      name,
      quantity,
      unitPrice: unit_price ?? null,
    }),
  );

const eventFields = {
  code: trimmed(maxCodeLength)
    .optional()
    .meta({ description: "The carrier's word, kept as it is: in_transit, inbound-scan, Delivered, …" }),
  status: trimmed(maxCodeLength).optional().meta({ description: 'Another name for code.' }),
  occurred_at: instant.optional().meta({
    description: 'RFC 3339; now where it is left out. With it an event that is sent again is recognised.',
  }),
  description: storableText(500).optional(),
  city: storableText(200).optional(),
  country: storableText(100).optional().meta({ description: 'ISO 3166-1 alpha-2, or the name of a country.' }),
};
const eventShape = z.strictObject(eventFields);

function toNewEvent(event: z.output<typeof eventShape>, context: z.RefinementCtx): NewEvent {
  const { code, status } = event;
  const fault = (path: string, message: string, kind: string): void =>
    context.addIssue({ code: 'custom', path: [path], message, params: { code: kind } });
  if (code !== undefined && status !== undefined)
    fault('status', 'is another name for code: give one of them', 'ambiguous');
  else if (code === undefined && status === undefined) fault('code', 'is required', 'required');
  return {
    code: code ?? status ?? '',
    occurredAt: event.occurred_at ?? null,
    description: event.description ?? null,
    city: event.city ?? null,
    country: event.country ?? null,
  };
}

/** One event as `POST …/events` takes it. */
export const eventSubmission = eventShape.transform(toNewEvent);

const names = { carrier: trimmed(maxNameLength), tracking_number: trimmed(maxNameLength) };
type Names = z.output<z.ZodObject<typeof names>>;

/** Both names have something left to compare, or the fault says which one has not. */
function keyOf({ carrier, tracking_number }: Names, context: z.RefinementCtx): ShipmentKey {
  const key = shipmentKeyOf(carrier, tracking_number);
  if (key !== null) return key;
  const path = shipmentKeyOf(carrier, '1') === null ? 'carrier' : 'tracking_number';
  context.addIssue({
    code: 'custom',
    path: [path],
    message: 'must have more than spaces and hyphens, and at most 128 characters in its compared form',
  });
  return z.NEVER;
}

/** One event of a bulk request: it says which shipment it belongs to. */
export const referencedEvent = z
  .strictObject({ ...names, ...eventFields })
  .transform(({ carrier, tracking_number, ...event }, context) => ({
    key: keyOf({ carrier, tracking_number }, context),
    event: toNewEvent(event, context),
  }));

const shipmentShape = z.strictObject({
  ...names,
  sender: addressShape.optional(),
  sender_address: storableText(maxAddressLength).optional().meta({ description: 'Short for sender.address.' }),
  receiver: addressShape.optional(),
  receiver_address: storableText(maxAddressLength).optional().meta({ description: 'Short for receiver.address.' }),
  currency: currency.optional().meta({ description: 'ISO 4217; MILLIARD_CURRENCY where it is left out.' }),
  order_id: orderId.optional(),
  expected_on: plainDate.optional().meta({ description: 'The day it is expected on, e.g. 2026-11-21.' }),
  articles: z.array(articleShape).max(maxArticles).optional(),
  events: z
    .array(eventSubmission)
    .max(maxEvents)
    .optional()
    .meta({ description: 'What happened to it already, in any order.' }),
});

/** One shipment as the API takes it, alone and in bulk. */
export const shipmentSubmission = shipmentShape.transform((document, context): NewShipment => {
  const { carrier, tracking_number: trackingNumber } = document;
  const articles = document.articles ?? [];
  checkArticles(articles, context);
  return {
    ...keyOf(document, context),
    carrier,
    trackingNumber,
    sender: oneAddress(document, 'sender', context),
    receiver: oneAddress(document, 'receiver', context),
    currency: document.currency ?? null,
    orderId: document.order_id ?? null,
    expectedOn: document.expected_on ?? null,
    articles,
    events: document.events ?? [],
  };
});

function oneAddress(
  document: z.output<typeof shipmentShape>,
  side: 'sender' | 'receiver',
  context: z.RefinementCtx,
): Address | null {
  const short = document[`${side}_address`];
  if (document[side] !== undefined && short !== undefined) {
    context.addIssue({
      code: 'custom',
      path: [`${side}_address`],
      message: `is short for ${side}.address: give one of them`,
      params: { code: 'ambiguous' },
    });
  }
  return document[side] ?? (short === undefined ? null : toldAddress(short));
}

function checkArticles(articles: readonly Article[], context: z.RefinementCtx): void {
  const seen = new Set<string>();
  for (const [i, article] of articles.entries()) {
    const key = articleKeyOf(article);
    if (seen.has(key)) {
      const [path, what] = article.sku === null ? ['name', 'name without a sku'] : ['sku', 'sku'];
      context.addIssue({
        code: 'custom',
        path: ['articles', i, path],
        message: `is the ${what} of an article before it: add up their quantities, or give each a sku`,
        params: { code: 'duplicate' },
      });
    }
    seen.add(key);
  }
}
