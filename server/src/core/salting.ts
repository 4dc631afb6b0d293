import { maxWays } from './customer-layout.ts';

/** What asking for so many ways means for a customer that has some. */
export type SaltVerdict =
  | { readonly kind: 'salt' }
  | { readonly kind: 'nothing' }
  | { readonly kind: 'refused'; readonly reason: string };

/** Layouts only grow: orders stay where they are, so fewer ways would make nothing narrower. */
export function judgeWays(currentWays: number, ways: number): SaltVerdict {
  if (!Number.isInteger(ways) || ways < 1 || ways > maxWays) {
    return { kind: 'refused', reason: `A customer has 1 to ${maxWays} ways.` };
  }
  if (ways === currentWays) return { kind: 'nothing' };
  if (ways < currentWays) {
    return {
      kind: 'refused',
      reason: `The customer has ${currentWays} ways, and ways are never taken back: its orders stay where they are. Choose more than ${currentWays}, or leave it.`,
    };
  }
  return { kind: 'salt' };
}

/** A lease as `salt` finds it; times by the clock of the database. */
export interface SeenLease {
  readonly serverId: string;
  readonly isLive: boolean;
  readonly renewedAt: number;
  readonly seenEpoch: bigint;
}

/** Leases that were not renewed since a moment: whoever holds one may hang, and is waited for before anybody is made to wait. */
export const notRenewedSince = <Lease extends SeenLease>(leases: readonly Lease[], since: number): Lease[] =>
  leases.filter(({ isLive, renewedAt }) => isLive && renewedAt <= since);

/** Leases whose holder may still write by layouts older than the epoch. */
export const behindEpoch = <Lease extends SeenLease>(leases: readonly Lease[], epoch: bigint): Lease[] =>
  leases.filter(({ isLive, seenEpoch }) => isLive && seenEpoch < epoch);

/**
 * Until when a lease counts for its holder, by a clock that was read before the lease was asked for. A tenth of its life is left
 * out for clocks that run at different speeds.
 */
export const heldUntil = (askedAtMs: number, lifeMs: number): number => askedAtMs + lifeMs * 0.9;
