import { type ShipmentId, timeOfId } from '../../core/ids.ts';
import type { Instant } from '../../core/time.ts';
import { type Address, type Article, type Shipment, type ShipmentEvent, toldAddress } from './shipment.ts';
import { type EventLog, eventLog, judgeEvent } from './shipment-events.ts';
import type { ImportedArticle, ImportedShipment, ImportedStatus } from './shipment-import-merge.ts';
import { foldCode } from './shipment-status-codes.ts';

/** A shipment as it is stored, with all that an import may change. */
export interface KnownShipment {
  readonly shipment: Shipment;
  readonly importedStatus: string | null;
  readonly articles: readonly KnownArticle[];
  /** Needed only where `mayRecord` says so. */
  readonly events: readonly ShipmentEvent[];
}

export interface KnownArticle {
  readonly articleKey: string;
  readonly position: number;
  readonly article: Article;
}

/** What is to be written of one shipment. */
export interface ShipmentPlan {
  readonly shipment: Shipment;
  readonly importedStatus: string | null;
  readonly newArticles: readonly KnownArticle[];
  readonly changedArticles: readonly KnownArticle[];
  readonly newEvents: readonly ShipmentEvent[];
}

export interface PlanOptions {
  readonly now: Instant;
  readonly actor: string;
  /** Reads what is in an address. */
  readonly readAddress: (told: Address) => Address;
}

/** A shipment that is not there yet. @param shipmentId made at `createdAt`, which is `options.now` */
export function planNew(imported: ImportedShipment, shipmentId: ShipmentId, options: PlanOptions): ShipmentPlan {
  const createdAt = timeOfId(shipmentId);
  const { log, events } = grown(eventLog([], createdAt), newsOf(imported.statuses, null), options);
  const { status, decidedBy, lastSeq, movedAt } = log.state;
  return {
    shipment: {
      trackingKey: imported.key.trackingKey,
      carrierKey: imported.key.carrierKey,
      shipmentId,
      carrier: imported.carrier,
      trackingNumber: imported.trackingNumber,
      sender: addressOf(imported.sender, null, options),
      receiver: addressOf(imported.receiver, null, options),
      currency: imported.currency,
      orderId: imported.orderId,
      expectedOn: imported.expectedOn,
      status,
      decidedBy,
      lastSeq,
      movedAt,
      version: 1,
      createdAt,
      updatedAt: options.now,
    },
    importedStatus: imported.statuses.at(-1)?.code ?? null,
    newArticles: imported.articles.map((article, position) => ({
      articleKey: article.articleKey,
      position: position + 1,
      article: articleOf(article, null),
    })),
    changedArticles: [],
    newEvents: events,
  };
}

/** Whether events of a file may have to be recorded: the stored ones are needed to tell. */
export const mayRecord = (
  { importedStatus }: Pick<KnownShipment, 'importedStatus'>,
  { statuses }: ImportedShipment,
): boolean => newsOf(statuses, importedStatus).length > 0;

/** What a file changes of a shipment that is there; null = nothing. What the file says nothing about stays as it is. */
export function planChange(
  known: KnownShipment,
  imported: ImportedShipment,
  options: PlanOptions,
): ShipmentPlan | null {
  const { shipment } = known;
  const news = newsOf(imported.statuses, known.importedStatus);
  const { log, events: newEvents } = grown(eventLog(known.events, shipment.createdAt), news, options);
  const { newArticles, changedArticles } = articlesOf(known.articles, imported.articles);
  const said = imported.statuses.at(-1)?.code ?? null;
  const importedStatus = said === null || isSameCode(said, known.importedStatus) ? known.importedStatus : said;
  const sender = addressOf(imported.sender, shipment.sender, options);
  const receiver = addressOf(imported.receiver, shipment.receiver, options);
  const orderId = imported.orderId ?? shipment.orderId;
  const expectedOn = imported.expectedOn ?? shipment.expectedOn;
  const isSame =
    newEvents.length + newArticles.length + changedArticles.length === 0 &&
    importedStatus === known.importedStatus &&
    sender === shipment.sender &&
    receiver === shipment.receiver &&
    orderId === shipment.orderId &&
    expectedOn === shipment.expectedOn;
  if (isSame) return null;
  return {
    shipment: {
      ...shipment,
      ...{ sender, receiver, orderId, expectedOn },
      ...(newEvents.length === 0 ? {} : log.state),
      version: shipment.version + 1,
      updatedAt: Math.max(options.now, shipment.updatedAt) as Instant,
    },
    importedStatus,
    newArticles,
    changedArticles,
    newEvents,
  };
}

/** The stored address where the file has the same text or none. */
function addressOf(told: string | null, stored: Address | null, { readAddress }: PlanOptions): Address | null {
  return told === null || told === stored?.address ? stored : readAddress(toldAddress(told));
}

const articleOf = (imported: ImportedArticle, stored: Article | null): Article => ({
  sku: imported.sku,
  name: imported.name,
  quantity: imported.quantity,
  unitPrice: imported.unitPrice ?? stored?.unitPrice ?? null,
});

function articlesOf(
  known: readonly KnownArticle[],
  imported: readonly ImportedArticle[],
): Pick<ShipmentPlan, 'newArticles' | 'changedArticles'> {
  const byKey = new Map(known.map((article) => [article.articleKey, article]));
  let last = known.reduce((highest, { position }) => Math.max(highest, position), 0);
  const newArticles: KnownArticle[] = [];
  const changedArticles: KnownArticle[] = [];
  for (const one of imported) {
    const { articleKey } = one;
    const stored = byKey.get(articleKey);
    const article = articleOf(one, stored?.article ?? null);
    if (stored === undefined) newArticles.push({ articleKey, position: ++last, article });
    else if (!isSameArticle(stored.article, article))
      changedArticles.push({ articleKey, position: stored.position, article });
  }
  return { newArticles, changedArticles };
}

const isSameArticle = (a: Article, b: Article): boolean =>
  a.sku === b.sku && a.name === b.name && a.quantity === b.quantity && a.unitPrice === b.unitPrice;

/** Another spelling of a code is no other code: `in-transit` and `In Transit`. */
function isSameCode(a: string, b: string | null): boolean {
  if (a === b) return true;
  const folded = foldCode(a);
  return b !== null && folded !== '' && folded === foldCode(b);
}

interface News {
  readonly code: string;
  /** Null = now, behind all that is recorded. */
  readonly at: Instant | null;
}

/**
 * Which statuses of a file are news. One with an instant is, unless it repeats the code before it. One without happens now: only
 * the last of them counts, and only when a file said something else before, so that a file that is sent again says nothing new.
 */
function newsOf(statuses: readonly ImportedStatus[], importedStatus: string | null): News[] {
  const news: News[] = [];
  let current = importedStatus;
  for (const [i, { code, at }] of statuses.entries()) {
    if (at !== null) {
      if (!isSameCode(code, current)) news.push({ code, at });
      current = code;
    } else if (i === statuses.length - 1 && !isSameCode(code, current) && !isSameCode(code, importedStatus))
      news.push({ code, at });
  }
  return news;
}

/** Adds the news to what is recorded; what is there already is passed over. */
function grown(
  log: EventLog,
  news: readonly News[],
  { now, actor }: PlanOptions,
): { readonly log: EventLog; readonly events: readonly ShipmentEvent[] } {
  const events: ShipmentEvent[] = [];
  let grownLog = log;
  for (const { code, at } of news) {
    const event = { code, occurredAt: at, description: null, city: null, country: null };
    const judgement = judgeEvent(grownLog, event, { now, actor });
    // None is from the future: rows that are were rejected.
    if (judgement.kind === 'replayed' || judgement.kind === 'refused') continue;
    grownLog = judgement.log;
    events.push(judgement.event);
  }
  return { log: grownLog, events };
}
