import { DomainError } from '../../core/errors.ts';
import type { Clock } from '../../core/time.ts';
import type { Database } from '../../storage/database.ts';
import type { Shipment, ShipmentDetail, ShipmentErrorCode, ShipmentFilter } from './shipment.ts';
import { type Access, accessOf } from './shipment-conditions-queries.ts';
import { type Direction, listOrderOf, positionOf, type ShipmentPosition, type ShipmentWalk } from './shipment-list.ts';
import { countByIndex, countShipments, endOfScan, nextCountryOfCity, shipmentsPage } from './shipment-list-queries.ts';
import { shipmentByKey, shipmentOfParts } from './shipments-queries.ts';
import type { ShipmentKey } from './tracking-key.ts';

export interface ShipmentPageRequest {
  readonly filter: ShipmentFilter;
  /** Counts in the order of creation only. */
  readonly direction: Direction;
  /** At most 500. */
  readonly limit: number;
  /** `next` of the page before. */
  readonly after: ShipmentPosition | null;
}

export interface ShipmentPage {
  readonly items: readonly Shipment[];
  /** For `after` of the next page; null behind the last row. A page may be shorter than asked for, even empty, and have a next. */
  readonly next: ShipmentPosition | null;
}

export interface BoundedCount {
  readonly count: number;
  readonly precision: 'exact' | 'at_least';
}

export interface ShipmentReads {
  /** With its articles and events, as of one moment. */
  findShipment(key: ShipmentKey): Promise<ShipmentDetail | null>;
  /** @throws DomainError `shipment_not_found` */
  getShipment(key: ShipmentKey): Promise<ShipmentDetail>;
  /**
   * Ordered by creation (by the id, which never changes: a walk skips and repeats nothing that was there when it began). With
   * `updatedFrom` or `updatedTo` by the last change, earliest first: a shipment that changes meanwhile moves behind everything
   * read so far and comes again. A change is seen when its transaction commits, a moment after the `updatedAt` it carries, so
   * whoever follows changes begins again some minutes before the last one seen. With `needsAttention` by how long: one that
   * changes leaves the list or moves to its new place.
   *
   * A rare combination of conditions may need more rows than a page may look at: then the page is short and `next` goes on.
   */
  listShipments(request: ShipmentPageRequest): Promise<ShipmentPage>;
  /** Exact up to 10,000, and as long as no more than 50,000 rows need to be looked at. */
  countShipments(filter: ShipmentFilter): Promise<BoundedCount>;
  /** Every shipment the filter selects, page by page at the consumer's pace; holds no connection between pages. */
  streamShipments(filter: ShipmentFilter, direction: Direction): AsyncGenerator<readonly Shipment[]>;
}

export interface ShipmentReadDeps {
  readonly db: Database;
  readonly clock: Clock;
  /** How many rows of an index one look may read where the index does not decide the whole filter; default 5,000. */
  readonly scannedRows?: number;
}

const shipmentCountCap = 10_000;
const scannedCap = 50_000;
// Pages share the pipelined connections with look-ups, which wait while a page is read.
const streamPageRows = 500;
// Some milliseconds.
const defaultScannedRows = 5_000;
/** On Citus, where each shard sends as many rows as one machine would read. */
export const scannedRowsOfShards = 500;
/** How often one page looks on where the index alone does not decide. */
const looksPerPage = 4;

export function createShipmentReads({ db, clock, scannedRows = defaultScannedRows }: ShipmentReadDeps): ShipmentReads {
  const reads: ShipmentReads = {
    async findShipment(key) {
      return shipmentOfParts(await db.read(shipmentByKey(key)));
    },
    async getShipment(key) {
      const shipment = await reads.findShipment(key);
      if (shipment === null) throw shipmentNotFound(key);
      return shipment;
    },
    async listShipments({ filter, direction, limit, after }) {
      const order = listOrderOf(filter);
      const access = await accessTo(filter);
      const found: Shipment[] = [];
      let walk: ShipmentWalk = { order, direction, after };
      for (let looks = 1; ; looks++) {
        const size = { rows: limit + 1 - found.length, scannedRows };
        for (const shipment of await db.read(shipmentsPage(access, walk, size))) found.push(shipment);
        const last = found[limit - 1];
        if (found.length > limit && last !== undefined) {
          return { items: found.slice(0, limit), next: positionOf(last, order) };
        }
        if (access.few || access.rest.length === 0) return { items: found, next: null };
        const [end = null] = await db.read(endOfScan(access, walk, scannedRows));
        if (end === null || looks === looksPerPage) return { items: found, next: end };
        walk = { ...walk, after: end };
      }
    },
    async countShipments(filter) {
      const access = await accessTo(filter);
      const cap = access.rest.length === 0 ? shipmentCountCap + 1 : scannedCap;
      const [row] = await db.transaction(async (tx) => {
        await tx.run(countByIndex());
        return tx.run(countShipments(access, cap));
      });
      const count = Number(row?.count ?? 0n);
      if (count > shipmentCountCap) return { count: shipmentCountCap, precision: 'at_least' };
      return { count, precision: Number(row?.scanned ?? 0n) < cap ? 'exact' : 'at_least' };
    },
    async *streamShipments(filter, direction) {
      for (let after: ShipmentPosition | null = null; ; ) {
        const page: ShipmentPage = await reads.listShipments({ filter, direction, limit: streamPageRows, after });
        if (page.items.length > 0) yield page.items;
        if (page.next === null) return;
        after = page.next;
      }
    },
  };

  async function accessTo(filter: ShipmentFilter): Promise<Access> {
    const { cityKey, country } = filter;
    const now = clock.now();
    if (cityKey === null || country !== null) return accessOf(filter, now);
    const countries: string[] = [];
    for (let before = ''; ; ) {
      const [next] = await db.read(nextCountryOfCity(cityKey, before));
      if (next === undefined) break;
      before = next.country;
      countries.push(before);
    }
    return accessOf(filter, now, countries);
  }

  return reads;
}

export const shipmentNotFound = ({ carrierKey, trackingKey }: ShipmentKey): DomainError<ShipmentErrorCode> =>
  new DomainError<ShipmentErrorCode>(
    'shipment_not_found',
    `There is no shipment ${trackingKey} of the carrier ${carrierKey}.`,
    { carrier: carrierKey, tracking_number: trackingKey },
  );
