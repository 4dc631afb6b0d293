import { dayMs, type Instant, plainDateOf } from '../../core/time.ts';
import type { Shipment } from './shipment.ts';
import { isEnded } from './shipment-status.ts';

/** Why somebody should look at a shipment. */
export const attentions = ['exception', 'silent', 'late'] as const;
export type Attention = (typeof attentions)[number];

/** A shipment that still travels and was not seen to move for so long is silent. */
export const defaultSilentMs = 5 * dayMs;

/**
 * Why a shipment needs attention at a moment; empty where it does not. Those that have ended never do.
 * - exception: its status
 * - silent: has not moved for `silentMs` or longer
 * - late: its expected day is over, in UTC
 */
export function attentionOf(
  { status, movedAt, expectedOn }: Pick<Shipment, 'status' | 'movedAt' | 'expectedOn'>,
  { now, silentMs }: { readonly now: Instant; readonly silentMs: number },
): Attention[] {
  if (isEnded(status)) return [];
  const found: Attention[] = [];
  if (status === 'exception') found.push('exception');
  if (movedAt <= now - silentMs) found.push('silent');
  if (expectedOn !== null && expectedOn < plainDateOf(now)) found.push('late');
  return found;
}

/**
 * From when on a shipment that still travels needs attention unless something happens, by the default silence: the place it has
 * in a list of those that do. It follows from the shipment alone, so that time passing moves nobody. The index
 * shipments_attention is made of the same.
 */
export function attentionFrom({
  status,
  decidedBy,
  movedAt,
  expectedOn,
}: Pick<Shipment, 'status' | 'decidedBy' | 'movedAt' | 'expectedOn'>): Instant {
  const silentFrom = movedAt + defaultSilentMs;
  const lateFrom = expectedOn === null ? silentFrom : Date.parse(`${expectedOn}T00:00:00Z`) + dayMs;
  const exceptionFrom = status === 'exception' && decidedBy !== null ? decidedBy.occurredAt : silentFrom;
  return Math.min(silentFrom, lateFrom, exceptionFrom) as Instant;
}
