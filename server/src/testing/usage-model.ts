import type { RecordChange } from '../domains/usage/usage-correction.ts';
import { type Amount, dayText, microsText, momentText, type OracleBatch } from './usage-oracle.ts';

/** The world began so many days ago; days are counted back from today. */
export const dayMicros = 86_400_000_000n;

/** A record as it is drawn. */
export interface DrawnRecord {
  readonly subscription: number;
  readonly record: number;
  readonly usageType: 'data' | 'voice';
  readonly daysAgo: number;
  /** Microseconds from the beginning of the day; below 0 it is the day before. */
  readonly micros: bigint;
  readonly offsetMinutes: number;
  readonly used: bigint;
  readonly price: string;
}

export interface SentRecord {
  readonly subscriptionId: string;
  readonly recordId: string;
  /** The UTC day of its moment. */
  readonly day: string;
  readonly usageType: string;
  readonly usedAtMicros: bigint;
  readonly used: bigint;
  readonly price: string;
  /** As it goes over the wire. */
  readonly document: Readonly<Record<string, unknown>>;
}

/** What is known of a record that was stored. */
export interface ModelRecord {
  readonly sent: SentRecord;
  state: ModelState;
  readonly revisions: { readonly change: RecordChange; readonly reason: string | null; readonly state: ModelState }[];
  /** A correction of it is held open. */
  isBusy: boolean;
}

export interface ModelState {
  readonly subscriptionId: string;
  readonly usageType: string;
  readonly day: string;
  readonly used: bigint;
  readonly price: bigint;
  readonly deleted: boolean;
}

export interface SentUpload {
  readonly how: 'single' | 'ndjson' | 'csv';
  readonly key: string | null;
  readonly partLines: number;
  readonly records: readonly SentRecord[];
  readonly outcome: Outcome;
}

export interface Outcome {
  readonly accepted: number;
  readonly duplicates: number;
  readonly rejectedRows: number;
}

export interface HeldWork {
  end(ending: 'commit' | 'rollback' | 'cut'): Promise<void>;
}

/** Everything that happened, and the sums it makes. */
export interface UsageModel {
  readonly todayMicros: bigint;
  readonly nowMicros: bigint;
  readonly batches: OracleBatch[];
  readonly records: Map<string, ModelRecord>;
  readonly uploads: SentUpload[];
  readonly adjustments: { readonly id: string; readonly amount: Amount }[];
  readonly held: HeldWork[];
  rawFrom: string;
  /** Makes names that were never there. */
  names: number;
}

export function newModel(nowMs: number, rawDays: number): UsageModel {
  const nowMicros = BigInt(nowMs) * 1_000n;
  const todayMicros = (nowMicros / dayMicros) * dayMicros;
  return {
    todayMicros,
    nowMicros,
    batches: [],
    records: new Map(),
    uploads: [],
    adjustments: [],
    held: [],
    rawFrom: dayText(todayMicros - BigInt(rawDays) * dayMicros),
    names: 0,
  };
}

export const dayAgo = ({ todayMicros }: UsageModel, days: number): string =>
  dayText(todayMicros - BigInt(days) * dayMicros);

const momentOf = ({ todayMicros }: UsageModel, { daysAgo, micros }: Pick<DrawnRecord, 'daysAgo' | 'micros'>): bigint =>
  todayMicros - BigInt(daysAgo) * dayMicros + micros;

export function recordOf(model: UsageModel, drawn: DrawnRecord, recordId = `r${drawn.record}`): SentRecord {
  const usedAtMicros = momentOf(model, drawn);
  const subscriptionId = `S${drawn.subscription}`;
  return {
    subscriptionId,
    recordId,
    day: dayText(usedAtMicros),
    usageType: drawn.usageType,
    usedAtMicros,
    used: drawn.used,
    price: drawn.price,
    document: {
      record_id: recordId,
      subscription_id: subscriptionId,
      usage_type: drawn.usageType,
      used_at: momentText(usedAtMicros, drawn.offsetMinutes),
      used: drawn.used > BigInt(Number.MAX_SAFE_INTEGER) ? String(drawn.used) : Number(drawn.used),
      price: drawn.price,
    },
  };
}

export const identityText = ({ subscriptionId, recordId, day }: SentRecord): string =>
  JSON.stringify([subscriptionId, recordId, day]);

/** What becomes of records that are sent: the first one of an identity wins, days and moments out of range are refused. */
export function take(model: UsageModel, records: readonly SentRecord[]): Outcome & { readonly amounts: Amount[] } {
  const amounts: Amount[] = [];
  let rejectedRows = 0;
  for (const sent of records) {
    // Truncated to milliseconds first.
    const isAhead = (sent.usedAtMicros / 1_000n) * 1_000n > model.nowMicros + 300_000_000n;
    if (isAhead || sent.day < model.rawFrom) {
      rejectedRows++;
      continue;
    }
    const identity = identityText(sent);
    if (model.records.has(identity)) continue;
    const state: ModelState = {
      subscriptionId: sent.subscriptionId,
      usageType: sent.usageType,
      day: sent.day,
      used: sent.used,
      price: microsText(sent.price),
      deleted: false,
    };
    model.records.set(identity, { sent, state, revisions: [], isBusy: false });
    amounts.push(amountOf(state, 1n));
  }
  return {
    accepted: amounts.length,
    duplicates: records.length - rejectedRows - amounts.length,
    rejectedRows,
    amounts,
  };
}

export const amountOf = (state: ModelState, factor: bigint): Amount => ({
  subscriptionId: state.subscriptionId,
  usageType: state.usageType,
  day: state.day,
  records: factor,
  used: factor * state.used,
  price: factor * state.price,
});

/** Enters a committed transaction. */
export const commit = (model: UsageModel, amounts: readonly Amount[]): void =>
  void model.batches.push({ amounts, isRolledUp: false });

/** The documents as bytes of an upload. */
export function bytesOf(records: readonly SentRecord[], format: 'ndjson' | 'csv'): Buffer {
  const documents = records.map(({ document }) => document);
  if (format === 'ndjson') return Buffer.from(documents.map((document) => `${JSON.stringify(document)}\n`).join(''));
  const columns = ['used', 'record_id', 'price', 'used_at', 'subscription_id', 'usage_type'];
  const lines = documents.map((document) => columns.map((column) => String(document[column])).join(','));
  return Buffer.from([columns.join(','), ...lines, ''].join('\n'));
}
