import type { FastifyReply } from 'fastify';

/** How a look-up was answered, where it was not by the database just now. */
export interface Freshness {
  /** How long ago the database said so. */
  readonly ageMs: number;
  /** Older than what is shown while the database answers: it does not, and this is the best there is. */
  readonly stale: boolean;
}

/** Says in headers while the database is not reached: `Milliard-Stale: true`, and in `Age` how many seconds old the answer is. Every other one is at most a second old. */
export function markFreshness(reply: Pick<FastifyReply, 'header'>, freshness: Freshness | null): void {
  if (freshness === null || !freshness.stale) return;
  void reply.header('age', String(Math.floor(freshness.ageMs / 1_000))).header('milliard-stale', 'true');
}
