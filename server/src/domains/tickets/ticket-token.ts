import type { Instant } from '../../core/time.ts';

/**
 * Which tokens open a ticket.
 *
 * Every token is of one generation, and generations are numbered upwards whatever their scope (one event, or all tickets). A
 * ticket's **current** generation is the highest one in whose scope it is: generation 1 at first, for that one is of all tickets.
 * A generation brings a **cut-off**: from `refusedFrom` on, no token of an earlier generation is accepted for a ticket in its
 * scope, whether the ticket has a token of the new generation already or not. After a leak the cut-off is now; in a planned
 * rotation it lies ahead, and until then both generations are accepted (the grace). A later leak ends that grace by its own
 * cut-off, because it is the newer generation of both.
 *
 * So a token is refused exactly if a newer generation in whose scope its ticket is has reached its cut-off. That needs no look
 * at the ticket's other tokens, and holds from the commit of the cut-off on, before the first new token is issued.
 */
export interface TokenGeneration {
  readonly generation: number;
  /** The scope: tickets of this event; null = all tickets. */
  readonly event: string | null;
  /** From when on earlier generations are refused in this scope; null for the first, which has none before it. */
  readonly refusedFrom: Instant | null;
  readonly createdAt: Instant;
}

/** What is known of a token that is stored: its generation, and of its ticket what decides. */
export interface FoundToken {
  readonly generation: number;
  readonly event: string;
  readonly voidedAt: Instant | null;
}

/**
 * - valid: it opens the ticket
 * - unknown: no token of ours, or one so old that its generation is gone
 * - token_rotated: it was real, and a newer generation has taken its place
 * - void: the right token of a ticket that was made void
 */
export const tokenVerdicts = ['valid', 'unknown', 'token_rotated', 'void'] as const;
export type TokenVerdict = (typeof tokenVerdicts)[number];

const covers = (generation: TokenGeneration, event: string): boolean =>
  generation.event === null || generation.event === event;

/** The generation in which tickets of this event get their tokens now. @throws RangeError without a generation of all tickets */
export function currentGeneration(generations: readonly TokenGeneration[], event: string): number {
  let current = 0;
  for (const one of generations) if (one.generation > current && covers(one, event)) current = one.generation;
  if (current === 0) throw new RangeError('There is no generation of tokens for this event.');
  return current;
}

/** A cut-off that was not in the future when it was made counts at once, whatever the clock of the machine that asks says. */
const isReached = ({ refusedFrom, createdAt }: TokenGeneration, now: Instant): boolean =>
  refusedFrom !== null && (refusedFrom <= createdAt || refusedFrom <= now);

/** Whether a token of this generation has lost its force for tickets of this event. */
export const isRefused = (
  generations: readonly TokenGeneration[],
  token: Pick<FoundToken, 'generation' | 'event'>,
  now: Instant,
): boolean =>
  generations.some(
    (newer) => newer.generation > token.generation && covers(newer, token.event) && isReached(newer, now),
  );

/**
 * Judges a token. A refused one tells nothing of its ticket, not even whether that is void: whoever has a leaked token learns no
 * more than that it is worthless.
 * @param found the stored token, null when none is stored
 * @param generations every generation, or at least those after the token's own in whose scope its ticket is; read together with
 *   the token or later
 */
export function judgeToken(
  found: FoundToken | null,
  generations: readonly TokenGeneration[],
  now: Instant,
): TokenVerdict {
  if (found === null) return 'unknown';
  if (isRefused(generations, found, now)) return 'token_rotated';
  return found.voidedAt === null ? 'valid' : 'void';
}
