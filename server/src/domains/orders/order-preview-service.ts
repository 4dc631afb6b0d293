import type { Database } from '../../storage/database.ts';
import type { Candidate, WriteOutcome } from './order-batch-service.ts';
import { selectOrderKeys } from './order-keys-queries.ts';
import { keyIdentity } from './order-placement.ts';

/** What writeBatch would answer, found out by reading only. */
export async function previewBatch(db: Database, candidates: readonly Candidate[]): Promise<WriteOutcome[]> {
  const keys = candidates.flatMap(({ placed }) => (placed.key === null ? [] : [placed.key, ...placed.earlierKeys]));
  const rows = keys.length === 0 ? [] : await db.query(selectOrderKeys(keys));
  const known = new Map(rows.map((row) => [keyIdentity(row), row]));
  return candidates.map(({ placed, refusal }): WriteOutcome => {
    const { key, contentHash, order } = placed;
    if (refusal === 'occurred_at_in_future') return { kind: 'refused', code: refusal, orderId: null };
    const identity = key === null ? null : keyIdentity(key);
    const found = identity === null ? undefined : known.get(identity);
    if (found !== undefined) {
      return found.contentHash === contentHash
        ? { kind: 'replayed', orderId: found.orderId, statusesAdded: 0 }
        : { kind: 'refused', code: 'order_key_reused', orderId: found.orderId };
    }
    if (refusal !== null) return { kind: 'refused', code: refusal, orderId: null };
    // The same key further down in the batch meets this order.
    if (key !== null && identity !== null) known.set(identity, { ...key, orderId: order.orderId, contentHash });
    return { kind: 'created', order };
  });
}
