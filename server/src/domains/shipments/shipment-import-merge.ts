import { readPrice } from '../../core/import-cells.ts';
import type { RowFault } from '../../core/import-line.ts';
import type { Currency } from '../../core/money.ts';
import type { Instant, PlainDate } from '../../core/time.ts';
import { articleKeyOf } from './shipment.ts';
import type { RowArticle, ShipmentRow } from './shipment-import-row.ts';
import { statusOfCode } from './shipment-status-codes.ts';
import { maxArticles } from './shipment-submission.ts';
import type { ShipmentKey } from './tracking-key.ts';

/** An article as a file has it. */
export interface ImportedArticle {
  readonly articleKey: string;
  readonly sku: string | null;
  readonly name: string;
  readonly quantity: number;
  /** In minor units; null = the file says nothing about it. */
  readonly unitPrice: number | null;
}

/** A status as a file has it; without an instant it is when the file is read. */
export interface ImportedStatus {
  readonly code: string;
  readonly at: Instant | null;
}

/** A shipment as the rows of a file make it. Null = no row says anything about it. */
export interface ImportedShipment {
  readonly key: ShipmentKey;
  readonly carrier: string;
  readonly trackingNumber: string;
  readonly sender: string | null;
  readonly receiver: string | null;
  readonly currency: Currency;
  readonly orderId: string | null;
  readonly expectedOn: PlainDate | null;
  readonly articles: readonly ImportedArticle[];
  /** In the order of the file. */
  readonly statuses: readonly ImportedStatus[];
}

/** What rows of one key make. */
export interface MergedRows<Row extends ShipmentRow> {
  /** Null when no row is left. */
  readonly shipment: ImportedShipment | null;
  readonly rejected: readonly { readonly row: Row; readonly fault: RowFault }[];
}

/** What the rows of a shipment that is stored are judged by: the file cannot change its currency, nor take its articles away. */
export interface StoredForRows {
  readonly currency: Currency;
  readonly articleKeys: readonly string[];
}

export interface MergeOptions {
  /** Of rows that name no currency, in shipments none of whose rows does. */
  readonly defaultCurrency: Currency;
  /** Null where the shipment is not stored yet. */
  readonly stored: StoredForRows | null;
}

/**
 * Makes one shipment of the rows of one key, at least one, in the order of the file. A bad row is left out alone. Of what belongs
 * to the shipment the last row that says something counts, of an article its last row; the first spelling of carrier and
 * number stays.
 */
export function mergeRows<Row extends ShipmentRow>(rows: readonly Row[], options: MergeOptions): MergedRows<Row> {
  const told = rows.find(({ currency }) => currency !== null)?.currency ?? null;
  const target = options.stored?.currency ?? told ?? options.defaultCurrency;
  const good: Row[] = [];
  const rejected: { row: Row; fault: RowFault }[] = [];
  const articles = new Map<string, ImportedArticle>();
  const articleKeys = new Set(options.stored?.articleKeys);
  for (const row of rows) {
    const currency = row.currency ?? told ?? options.defaultCurrency;
    const article = oneOfFew(articleOf(row, { currency, target, isStored: options.stored !== null }), articleKeys);
    if (article !== null && 'code' in article) {
      rejected.push({ row, fault: article });
      continue;
    }
    good.push(row);
    if (article === null) continue;
    articles.set(article.articleKey, article);
    articleKeys.add(article.articleKey);
  }
  return { shipment: shipmentOf(good, target, [...articles.values()]), rejected };
}

/** An article that would be one too many becomes a fault. @param articleKeys of the shipment so far */
function oneOfFew(
  article: ImportedArticle | RowFault | null,
  articleKeys: ReadonlySet<string>,
): ImportedArticle | RowFault | null {
  if (article === null || 'code' in article) return article;
  if (articleKeys.size < maxArticles || articleKeys.has(article.articleKey)) return article;
  return {
    code: 'too_many_articles',
    detail: `a shipment has at most ${maxArticles} articles, and this row would be one more`,
  };
}

interface Currencies {
  /** Of the row. */
  readonly currency: Currency;
  /** Of the shipment. */
  readonly target: Currency;
  readonly isStored: boolean;
}

function articleOf(row: ShipmentRow, { currency, target, isStored }: Currencies): ImportedArticle | RowFault | null {
  const { article } = row;
  const price = article?.price ?? null;
  if (currency !== target && (row.currency !== null || price !== null))
    return {
      code: 'currency_conflict',
      detail: isStored
        ? `the prices of this shipment are stored in ${target}, and this row is in ${currency}`
        : `another row of this shipment is in ${target}, and this one in ${currency}`,
    };
  if (article === null) return null;
  const unitPrice = price === null ? null : readPrice(price, target);
  return unitPrice !== null && typeof unitPrice === 'object' ? unitPrice : withKey(article, unitPrice);
}

const withKey = ({ sku, name, quantity }: RowArticle, unitPrice: number | null): ImportedArticle => ({
  articleKey: articleKeyOf({ sku, name }),
  sku,
  name,
  quantity,
  unitPrice,
});

function shipmentOf(
  rows: readonly ShipmentRow[],
  currency: Currency,
  articles: readonly ImportedArticle[],
): ImportedShipment | null {
  const [first] = rows;
  if (first === undefined) return null;
  let { sender, receiver, orderId, expectedOn } = first;
  const statuses: ImportedStatus[] = [];
  for (const row of rows) {
    sender = row.sender ?? sender;
    receiver = row.receiver ?? receiver;
    orderId = row.orderId ?? orderId;
    expectedOn = row.expectedOn ?? expectedOn;
    if (row.status !== null) statuses.push(row.status);
  }
  const { key, carrier, trackingNumber } = first;
  return { key, carrier, trackingNumber, sender, receiver, currency, orderId, expectedOn, articles, statuses };
}

/** What judging the rows of one shipment says. `Rejection` is a row that is left out, and why. */
export interface JudgedRows<Rejection> {
  readonly shipment: ImportedShipment | null;
  readonly rejected: readonly Rejection[];
  /** Fields of the rows that nobody has a use for, once a row that has them. */
  readonly unused: readonly string[];
}

/**
 * The rows of one shipment before they are judged: that makes many small things, which shall live no longer than it takes to
 * write them.
 */
export interface ImportCandidate<Rejection> {
  readonly key: ShipmentKey;
  /** @param stored null where the shipment is not stored yet */
  judge(stored: StoredForRows | null): JudgedRows<Rejection>;
  /** All its rows are left out. */
  refuse(fault: RowFault): readonly Rejection[];
}

/** What became of the rows of one shipment. */
export interface ImportOutcome<Rejection> {
  readonly key: ShipmentKey;
  /** `rejected`: not one of its rows was good. */
  readonly kind: 'created' | 'updated' | 'unchanged' | 'rejected';
  readonly rejected: readonly Rejection[];
  /** Articles that its rows have. */
  readonly articles: number;
  /** Words for a status that nobody understands, once a row that has them. */
  readonly unknownStatuses: readonly string[];
  readonly unused: readonly string[];
}

const none: readonly never[] = [];

export function outcomeOf<Rejection>(
  key: ShipmentKey,
  kind: ImportOutcome<Rejection>['kind'],
  { shipment, rejected, unused }: JudgedRows<Rejection>,
): ImportOutcome<Rejection> {
  const unknown = shipment === null ? none : unknownWords(shipment.statuses);
  return { key, kind, rejected, articles: shipment?.articles.length ?? 0, unknownStatuses: unknown, unused };
}

/** Words for a status that nobody understands. */
export const unknownWords = (statuses: readonly ImportedStatus[]): readonly string[] =>
  statuses.every(({ code }) => statusOfCode(code).known)
    ? none
    : statuses.filter(({ code }) => !statusOfCode(code).known).map(({ code }) => code);
