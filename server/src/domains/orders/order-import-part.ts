import type { RejectedLine, SourceLine } from '../../core/import-line.ts';
import type { NewOrder } from './order.ts';

/** What some lines of a file make: an order or nothing, and the lines that are no part of it. */
export interface ReadOrder {
  readonly order: NewOrder | null;
  readonly lines: readonly SourceLine[];
  readonly rejected: readonly RejectedLine[];
  /** Whether an order was meant and lost, not only lines. */
  readonly isOrderRejected: boolean;
}

export interface ImportedOrder {
  readonly order: NewOrder;
  readonly lines: readonly SourceLine[];
}
export type ImportPart = readonly ImportedOrder[];

// A part is one transaction. Larger ones are no faster (measured up to 20,000 orders) and take memory: two are under way.
const partOrders = 1_000;
const partItems = 10_000;

/** Who is told of what is left out. */
export interface RejectionCounter {
  reject(line: RejectedLine): Promise<void>;
  countRejectedOrder(): void;
}

/** Cuts orders into parts to be written; rejected lines are told and counted on the way. */
export async function* partsOf(
  groups: AsyncIterable<readonly ReadOrder[]>,
  tally: RejectionCounter,
): AsyncGenerator<ImportedOrder[]> {
  let part: ImportedOrder[] = [];
  let items = 0;
  for await (const group of groups) {
    for (const { order, lines, rejected, isOrderRejected } of group) {
      for (const line of rejected) await tally.reject(line);
      if (isOrderRejected) tally.countRejectedOrder();
      if (order === null) continue;
      part.push({ order, lines });
      items += order.items.length;
      if (part.length < partOrders && items < partItems) continue;
      yield part;
      part = [];
      items = 0;
    }
  }
  if (part.length > 0) yield part;
}
