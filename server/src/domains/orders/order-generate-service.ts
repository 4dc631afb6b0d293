import { inBatches } from '../../core/batches.ts';
import { forEachParallel } from '../../core/parallel.ts';
import { type GenerateOptions, generateOrders } from './order-generator.ts';
import type { OrderWriter } from './order-write-service.ts';

export interface GenerateRequest extends GenerateOptions {
  /** Aborting ends it after the transactions under way; the same options and seed go on from there. */
  readonly signal: AbortSignal;
  readonly onProgress: (orders: number) => void;
}

export interface GenerateSummary {
  readonly orders: number;
  readonly created: number;
  /** Made before with the same seed and options. */
  readonly replayed: number;
  /** The number belongs to an order that the same seed made with other options. */
  readonly refused: number;
  readonly items: number;
}

// Smaller parts than those of a bulk request: as fast, and the process stays small.
const partOrders = 2_000;
const writers = 2;

/** Makes orders and writes them by COPY, in parts of 2,000. */
export async function generateAndWrite(writer: OrderWriter, request: GenerateRequest): Promise<GenerateSummary> {
  const counts = { orders: 0, created: 0, replayed: 0, refused: 0, items: 0 };
  const parts = inBatches(generateOrders(request), partOrders);
  await forEachParallel(parts, writers, async (part) => {
    request.signal.throwIfAborted();
    const submitted = part.map((order) => ({ order, requestKey: null, actor: 'generate' }));
    const outcomes = await writer.write(submitted, { by: 'copy', olderMonths: 'make' });
    for (const [i, { kind }] of outcomes.entries()) {
      counts[kind]++;
      if (kind === 'created') counts.items += part[i]?.items.length ?? 0;
    }
    counts.orders += part.length;
    request.onProgress(counts.orders);
  });
  return counts;
}
