import { z } from 'zod';
import { type Bucket, bucketCount } from '../../core/bucket.ts';
import { bucketOfId, type TicketId } from '../../core/ids.ts';
import { storableText } from '../../core/validation.ts';
import type { TokenGeneration } from './ticket-token.ts';

export const rotateKind = 'tickets.rotate';
export const purgeKind = 'tickets.purge-tokens';

const maxGraceSeconds = 30 * 86_400;
const maxKeepDays = 3_650;
const uuidV4 = /[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}/i;

/** What somebody who starts a rotation says, as it is stored with the run and as HTTP takes it. */
export const rotationParameters = z.strictObject({
  reason: storableText(500)
    .refine((text) => !uuidV4.test(text), 'is kept in the audit log: leave the token out')
    .describe('Why: stands in the audit log'),
  event: storableText(200).nullable().default(null).describe('Only tickets of this event; null = all tickets'),
  grace_seconds: z
    .int()
    .min(0)
    .max(maxGraceSeconds)
    .default(0)
    .describe('For so long the old tokens are accepted still; 0 after a leak: they are refused at once'),
  keep_days: z
    .int()
    .min(0)
    .max(maxKeepDays)
    .default(7)
    .describe('For so long old tokens answer token_rotated; afterwards they are deleted and answer unknown'),
});
export type RotationParameters = z.output<typeof rotationParameters>;

/**
 * Two unfinished rotations with the same key are one. A leak is not taken for the planned rotation of the same tickets that is
 * under way: it begins its own, which ends the grace.
 */
export const rotationKey = ({ event, grace_seconds }: RotationParameters): string =>
  `${grace_seconds === 0 ? 'leak' : 'planned'}:${event === null ? 'all' : `event:${event}`}`;

/**
 * Generations of one stretch share a partition of ticket_tokens. A rotation of all tickets begins the next stretch, so that the
 * tokens it replaces go by dropping a partition; one of a single event takes the next number within the present stretch, so that
 * any number of events can be rotated without a partition more to be searched.
 */
export const stretchLength = 100_000;

export const stretchOf = (generation: number): number => generation - (generation % stretchLength);

/** The name of the partition that holds this generation; safe in SQL. */
export const partitionOf = (generation: number): string => `ticket_tokens_${stretchOf(generation)}`;

/** The number of the next rotation. @throws RangeError after 99,999 rotations of single events without one of all tickets */
export function nextGeneration(
  generations: readonly Pick<TokenGeneration, 'generation'>[],
  event: string | null,
): number {
  const newest = generations.reduce((max, { generation }) => Math.max(max, generation), 0);
  if (event === null) return stretchOf(newest) + stretchLength;
  if (stretchOf(newest + 1) !== stretchOf(newest))
    throw new RangeError('There are too many rotations of single events. Rotate all tickets once.');
  return newest + 1;
}

/** A place in the order (bucket, ticket_id), in which a rotation of all tickets walks. */
export interface Home {
  readonly bucket: number;
  readonly ticketId: string;
}

const lowestId = '00000000-0000-0000-0000-000000000000';
const highestId = 'ffffffff-ffff-ffff-ffff-ffffffffffff';

export const beforeAll: Home = { bucket: -1, ticketId: lowestId };
export const behindAll: Home = { bucket: bucketCount, ticketId: lowestId };

export const homeOf = (ticketId: TicketId): Home => ({ bucket: bucketOfId(ticketId), ticketId });

/** A cursor behind every ticket of the bucket; reads as an id, so that its bucket is found in it. */
export const lastIdOfBucket = (bucket: Bucket): TicketId =>
  `${highestId.slice(0, 14)}7${bucket.toString(16).padStart(3, '0')}${highestId.slice(18)}` as TicketId;

/** The buckets `[first, last]` of each of so many parts of about the same size. */
export function bucketParts(parts: number): { readonly first: Bucket; readonly last: Bucket }[] {
  const count = Math.max(1, Math.min(parts, bucketCount));
  const bound = (i: number) => Math.round((i * bucketCount) / count);
  return Array.from({ length: count }, (_, i) => ({ first: bound(i) as Bucket, last: (bound(i + 1) - 1) as Bucket }));
}
