import { hashOf } from './bucket-cache.ts';
import type { BatchId, PlacedRecord, RecordRejection } from './usage.ts';
import { placeOf } from './usage-rows.ts';

/** The records of one request, judged, each with its place in the request counted from 1. */
export interface IntakeRequest {
  readonly actor: string;
  readonly producerKey: string | null;
  readonly contentHash: Buffer | null;
  readonly items: readonly IntakeItem[];
  readonly rejected: readonly RecordRejection[];
}

export interface IntakeItem {
  readonly line: number;
  readonly record: PlacedRecord;
}

/** What is one row of the ledger: a request with a key, or all requests of an actor without one. */
export interface IntakeBatch {
  readonly batchId: BatchId;
  readonly actor: string;
  readonly producerKey: string | null;
  readonly contentHash: Buffer | null;
  readonly requests: readonly IntakeRequest[];
}

/** Groups requests into batches, in the order in which every transaction claims keys. */
export function planBatches(requests: readonly IntakeRequest[], newBatchId: () => BatchId): IntakeBatch[] {
  const shared = new Map<string, IntakeRequest[]>();
  const keyed = new Map<string, IntakeRequest[]>();
  for (const request of requests) {
    const { actor, producerKey, contentHash } = request;
    // The same request sent twice at once is one batch; the same key with another content is not.
    const name = JSON.stringify([actor, producerKey, contentHash?.toString('hex')]);
    const group = producerKey === null ? shared : keyed;
    const members = group.get(name);
    if (members === undefined) group.set(name, [request]);
    else members.push(request);
  }
  return [...keyed, ...shared]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([, members]) => {
      const [first] = members;
      return {
        batchId: newBatchId(),
        actor: first?.actor ?? '',
        producerKey: first?.producerKey ?? null,
        contentHash: first?.contentHash ?? null,
        requests: members,
      };
    });
}

export const identityOf = (subscriptionId: string, recordId: string, day: string): string =>
  `${day}\0${subscriptionId}\0${recordId}`;

/** The order in which every transaction stores records, the one of UsageRows. */
export function inStoringOrder<Row extends { readonly record: PlacedRecord }>(rows: readonly Row[]): Row[] {
  const placed = rows.map((row) => ({ row, place: placeOfRecord(row.record) }));
  placed.sort((a, b) => a.row.record.day - b.row.record.day || a.place - b.place);
  return placed.map(({ row }) => row);
}

const textHash = (text: string): number => {
  const bytes = Buffer.from(text);
  return hashOf(bytes, 0, bytes.length);
};

const placeOfRecord = ({ bucket, subscriptionId, recordId }: PlacedRecord): number =>
  placeOf(bucket, textHash(subscriptionId), textHash(recordId));
