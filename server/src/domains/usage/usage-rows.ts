import type { Day } from '../../core/days.ts';
import { type BucketCache, hashOf } from './bucket-cache.ts';
import type { BatchId } from './usage.ts';
import type { RecordFields } from './usage-fields.ts';

/** Rows of usage_records in the binary format of COPY, in the order of `usageRecordColumns`. */
export interface UsageRows {
  /** @param line where the record stands in the upload */
  append(fields: RecordFields, line: number): void;
  count(): number;
  /** The first and the last day of its rows; null = it has none. */
  days(): readonly [Day, Day] | null;
  /** Where the records of days before `day` stand. */
  linesBefore(day: Day): number[];
  /** Gives its rows the number of another batch. No more are appended afterwards. */
  renumber(batchId: BatchId): void;
  /**
   * The rows from a day on (null = all) as bytes for COPY, sorted by (day, bucket, hash of the identity), of equal identities the
   * first one first. Every batch is written in this order, so that two that hold the same records wait for each other and never in
   * a circle; and neighbours in the index arrive together (3.9 us a row instead of 4.7). Valid until they are asked for again or
   * the memory is given to another part.
   */
  bytes(from: Day | null): Buffer[];
}

/** The order of the columns in the rows. */
export const usageRecordColumns =
  'batch_id, used, used_at, day, bucket, usage_type, subscription_id, record_id, price' as const;

const columns = 9;
// The number of columns, and five of fixed length with their lengths before them.
const fixedBytes = 2 + 3 * (4 + 8) + (4 + 4) + (4 + 2);
// Behind the number of columns and its own length.
const batchIdAt = 2 + 4;
// These, the price at its longest, and the lengths of three texts.
const rowBytes = fixedBytes + 4 + 8 + 2 * 5 + 3 * 4;
const postgresEpochMs = 946_684_800_000;
const postgresEpochDay = 10_957;
const dayMs = 86_400_000;
const twoTo32 = 2 ** 32;

const header = Buffer.from('PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0', 'latin1');
const trailer = Buffer.from([0xff, 0xff]);

// What fits into the 15 bits of a row's number, see `orderOf`.
const maxRows = 2 ** 15;

/** The memory of one part, used again for another one: fresh megabytes for each would cost as much as reading the lines. */
export interface RowMemory {
  raw: Buffer;
  sorted: Buffer;
  readonly starts: Uint32Array;
  readonly days: Int32Array;
  readonly places: Uint32Array;
  readonly lines: Uint32Array;
  readonly keys: Float64Array;
}

export const createRowMemory = (): RowMemory => ({
  raw: Buffer.allocUnsafeSlow(2 ** 22),
  sorted: Buffer.allocUnsafeSlow(2 ** 22),
  starts: new Uint32Array(maxRows + 1),
  days: new Int32Array(maxRows),
  places: new Uint32Array(maxRows),
  lines: new Uint32Array(maxRows),
  keys: new Float64Array(maxRows),
});

export interface UsageRowsOptions {
  readonly batchId: BatchId;
  /** Names of the types, by their index. */
  readonly types: readonly Uint8Array[];
  readonly buckets: BucketCache;
  readonly memory: RowMemory;
}

export function createUsageRows(options: UsageRowsOptions): UsageRows {
  const { types, buckets, memory } = options;
  const writer = createRowWriter(memory, options.batchId);
  let count = 0;
  let firstDay = Number.POSITIVE_INFINITY;
  let lastDay = Number.NEGATIVE_INFINITY;

  return {
    append(fields, line) {
      const { source, subscriptionAt, subscriptionEnd, recordAt, recordEnd } = fields;
      const hash = hashOf(source, subscriptionAt, subscriptionEnd);
      const bucket = buckets.bucketOf(source, { from: subscriptionAt, end: subscriptionEnd }, hash);
      const day = Math.floor(fields.usedAtMs / dayMs);
      memory.days[count] = day;
      memory.lines[count] = line;
      memory.places[count] = placeOf(bucket, hash, hashOf(source, recordAt, recordEnd));
      if (day < firstDay) firstDay = day;
      if (day > lastDay) lastDay = day;
      memory.starts[++count] = writer.write(fields, types[fields.type] ?? noBytes, { day, bucket });
    },
    count: () => count,
    days: () => (count === 0 ? null : [firstDay as Day, lastDay as Day]),
    linesBefore: (day) => Array.from(memory.lines.subarray(0, count)).filter((_, i) => (memory.days[i] ?? 0) < day),
    renumber(batchId) {
      const view = new DataView(memory.raw.buffer, memory.raw.byteOffset, memory.raw.length);
      for (let row = 0; row < count; row++) view.setBigInt64((memory.starts[row] ?? 0) + batchIdAt, batchId);
    },
    bytes: (from) => [header, sortedRows(memory, count, { firstDay, from }), trailer],
  };
}

/** A row's place in its day: 12 bits of the bucket and 19 of a hash of the identity. */
export const placeOf = (bucket: number, subscriptionHash: number, recordHash: number): number =>
  bucket * 2 ** 19 + (Math.imul(subscriptionHash ^ (recordHash * 31), 668_265_263) >>> 13);

function sortedRows(
  memory: RowMemory,
  count: number,
  { firstDay, from }: { readonly firstDay: number; readonly from: Day | null },
): Buffer {
  const { raw, starts } = memory;
  const length = starts[count] ?? 0;
  if (memory.sorted.length < length) memory.sorted = Buffer.allocUnsafeSlow(raw.length);
  const { sorted } = memory;
  const keys = orderOf(memory, count, firstDay);
  let to = 0;
  for (let i = 0; i < count; i++) {
    const row = (keys[i] ?? 0) % maxRows;
    if (from !== null && (memory.days[row] ?? 0) < from) continue;
    const end = starts[row + 1] ?? 0;
    // For a hundred bytes a loop takes half the time of a call of copy().
    for (let at = starts[row] ?? 0; at < end; at++) sorted[to++] = raw[at] ?? 0;
  }
  return sorted.subarray(0, to);
}

const noBytes = new Uint8Array(0);

interface RowWriter {
  /** @returns where the row ends */
  write(fields: RecordFields, type: Uint8Array, home: { readonly day: number; readonly bucket: number }): number;
}

function createRowWriter(memory: RowMemory, batchId: BatchId): RowWriter {
  let buffer = memory.raw;
  let view = new DataView(buffer.buffer, buffer.byteOffset, buffer.length);
  let length = 0;
  const batchHigh = Number(batchId >> 32n);
  const batchLow = Number(batchId & 0xffff_ffffn);

  const makeRoom = (bytes: number): void => {
    if (length + bytes <= buffer.length) return;
    const larger = Buffer.allocUnsafeSlow(buffer.length * 2);
    buffer.copy(larger, 0, 0, length);
    buffer = larger;
    memory.raw = larger;
    view = new DataView(buffer.buffer, buffer.byteOffset, buffer.length);
    makeRoom(bytes);
  };
  const text = (at: number, from: Uint8Array, place: readonly [number, number]): number => {
    const [first, end] = place;
    view.setInt32(at, end - first);
    let to = at + 4;
    for (let i = first; i < end; i++) buffer[to++] = from[i] ?? 0;
    return to;
  };

  return {
    write(fields, type, { day, bucket }) {
      const { source, subscriptionAt, subscriptionEnd, recordAt, recordEnd, usedAtMs } = fields;
      makeRoom(rowBytes + type.length + subscriptionEnd - subscriptionAt + recordEnd - recordAt);
      const at = length;
      const micros = (usedAtMs - postgresEpochMs) * 1_000;
      view.setInt16(at, columns);
      view.setInt32(at + 2, 8);
      view.setInt32(at + 6, batchHigh);
      view.setUint32(at + 10, batchLow);
      view.setInt32(at + 14, 8);
      view.setUint32(at + 18, fields.usedHigh);
      view.setUint32(at + 22, fields.usedLow);
      view.setInt32(at + 26, 8);
      view.setInt32(at + 30, Math.floor(micros / twoTo32));
      view.setUint32(at + 34, micros % twoTo32);
      view.setInt32(at + 38, 4);
      view.setInt32(at + 42, day - postgresEpochDay);
      view.setInt32(at + 46, 2);
      view.setInt16(at + 50, bucket);
      const behindType = text(at + fixedBytes, type, [0, type.length]);
      const behindIds = text(text(behindType, source, [subscriptionAt, subscriptionEnd]), source, [
        recordAt,
        recordEnd,
      ]);
      length = writePrice(view, behindIds, fields);
      return length;
    },
  };
}

// What fits into 53 bits: 7 of the day, 31 of the place, 15 of the row.
const daySpan = 2 ** 7;
const placeSpan = 2 ** 31;

/** Sorted numbers whose last 15 bits are the rows. Days further than 127 after the first one are taken for the last of these. */
function orderOf(memory: RowMemory, count: number, firstDay: number): Float64Array {
  const keys = memory.keys.subarray(0, count);
  for (let row = 0; row < count; row++) {
    const day = Math.min((memory.days[row] ?? 0) - firstDay, daySpan - 1);
    keys[row] = (day * placeSpan + (memory.places[row] ?? 0)) * maxRows + row;
  }
  return keys.sort();
}

/** A numeric: digits to the base of 10,000 without zeros at either end. @returns where it ends */
function writePrice(view: DataView, from: number, fields: RecordFields): number {
  const { priceWhole, priceMillionths } = fields;
  const upper = Math.floor(priceWhole / 100_000_000);
  const middle = Math.floor(priceWhole / 10_000) % 10_000;
  const lower = priceWhole % 10_000;
  const tenThousandths = Math.floor(priceMillionths / 100);
  const rest = (priceMillionths % 100) * 100;
  // Weights from 2 (times 10,000 squared) down to -2.
  const weight = upper > 0 ? 2 : middle > 0 ? 1 : lower > 0 ? 0 : tenThousandths > 0 ? -1 : rest > 0 ? -2 : -3;
  const last = rest > 0 ? -2 : tenThousandths > 0 ? -1 : lower > 0 ? 0 : middle > 0 ? 1 : upper > 0 ? 2 : -3;
  const count = weight === -3 ? 0 : weight - last + 1;
  view.setInt32(from, 8 + 2 * count);
  view.setInt16(from + 4, count);
  view.setInt16(from + 6, count === 0 ? 0 : weight);
  view.setInt16(from + 8, 0);
  view.setInt16(from + 10, fields.pricePlaces);
  let at = from + 12;
  for (let w = weight; count > 0 && w >= last; w--, at += 2) {
    view.setInt16(at, w === 2 ? upper : w === 1 ? middle : w === 0 ? lower : w === -1 ? tenThousandths : rest);
  }
  return at;
}
