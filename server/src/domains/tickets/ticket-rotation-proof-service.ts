import type { Bucket } from '../../core/bucket.ts';
import type { TicketId } from '../../core/ids.ts';
import type { Database } from '../../storage/database.ts';
import { beforeAll, bucketParts, lastIdOfBucket } from './ticket-rotation.ts';
import {
  type BucketPart,
  type OutsideCounts,
  proveEventPart,
  proveOutside,
  provePart,
  type ScopeCounts,
} from './ticket-rotation-proof-queries.ts';
import { type OwnGeneration, walkIndexes } from './ticket-rotation-queries.ts';

/** What a rotation has proved over the stored rows. */
export interface RotationProof {
  readonly inScope: ScopeCounts;
  readonly outOfScope: OutsideCounts;
}

export type ProofStep =
  | { readonly kind: 'working'; readonly share: number }
  /** Tickets without a token, behind this cursor; null = from the start. */
  | { readonly kind: 'incomplete'; readonly tickets: number; readonly from: TicketId | null }
  | { readonly kind: 'complete'; readonly proof: RotationProof };

export interface ProofDeps {
  readonly db: Database;
  readonly own: OwnGeneration;
  /** About so many tickets there are: only the size of the parts depends on it. */
  readonly tickets: number;
}

/** Tickets that one statement looks at: some tenths of a second, and little memory. */
const partRows = 50_000;
const partsAtOnce = 2;
/** A step ends after so long, so that a run that proves can be paused like any other. */
const stepMs = 500;

const nothing: ScopeCounts = { tickets: 0, withoutToken: 0, duplicates: 0, oldThatVerify: 0 };
const nobody: OutsideCounts = { tickets: 0, verify: 0, lost: 0 };

/**
 * Proves a rotation part by part; each call goes on where the last one ended. Parts need not be of one snapshot: what they show
 * cannot come to be wrong again, for whoever issues a token now issues the new generation, and no cut-off is ever taken back.
 */
export function createProof({ db, own, tickets }: ProofDeps): () => Promise<ProofStep> {
  const scope = own.event === null ? scopeOfAll(db, own, tickets) : scopeOfEvent(db, { ...own, event: own.event });
  const outside = own.event === null ? null : outsideOf(db, own, tickets);
  return async () => {
    const endMs = performance.now() + stepMs;
    for (const walk of outside === null ? [scope] : [scope, outside]) {
      while (!walk.isDone()) {
        const parts = await Promise.allSettled(Array.from({ length: walk.atOnce }, () => walk.next()));
        for (const part of parts) if (part.status === 'rejected') throw part.reason;
        if (performance.now() > endMs && !walk.isDone()) return { kind: 'working', share: walk.share() };
      }
    }
    const inScope = scope.sum();
    if (inScope.withoutToken > 0) return { kind: 'incomplete', tickets: inScope.withoutToken, from: scope.from() };
    return { kind: 'complete', proof: { inScope, outOfScope: outside?.sum() ?? nobody } };
  };
}

interface Walk<Counts> {
  /** Parts that may be proved at the same time. */
  readonly atOnce: number;
  next(): Promise<void>;
  isDone(): boolean;
  share(): number;
  sum(): Counts;
}

/** Adds up what the parts of all buckets prove. */
function walkBuckets<Counts extends object>(
  tickets: number,
  none: Counts,
  prove: (part: BucketPart) => Promise<Counts>,
): Walk<Counts> {
  const parts = bucketParts(Math.ceil(tickets / partRows));
  const waiting = [...parts];
  let done = 0;
  let sum = none;
  return {
    atOnce: partsAtOnce,
    async next() {
      const part = waiting.shift();
      if (part === undefined) return;
      const counts = await prove(part).catch((error: unknown) => {
        // Whoever asks for the next step tries it again.
        waiting.push(part);
        throw error;
      });
      sum = added(sum, counts);
      done++;
    },
    isDone: () => done === parts.length,
    share: () => done / parts.length,
    sum: () => sum,
  };
}

function scopeOfAll(db: Database, own: OwnGeneration, tickets: number) {
  let lacking: Bucket | null = null;
  const walk = walkBuckets(tickets, nothing, async (part) => {
    const counts = await db.transaction(async (tx) => {
      await tx.run(walkIndexes());
      return first(tx.run(provePart(own, part)));
    });
    if (counts.withoutToken > 0 && (lacking === null || part.first < lacking)) lacking = part.first;
    return counts;
  });
  const from = () => (lacking === null || lacking === 0 ? null : lastIdOfBucket((lacking - 1) as Bucket));
  return { ...walk, from };
}

function scopeOfEvent(db: Database, own: OwnGeneration & { readonly event: string }) {
  const start = beforeAll.ticketId as TicketId;
  let after = start;
  let lacking: TicketId | null = null;
  let isDone = false;
  let sum = nothing;
  return {
    atOnce: 1,
    async next() {
      const { looked, last, ...counts } = await first(
        db.query(proveEventPart(own, { event: own.event, after, rows: partRows })),
      );
      if (counts.withoutToken > 0 && lacking === null) lacking = after;
      sum = added(sum, counts);
      isDone = looked < partRows || last === null;
      after = last ?? after;
    },
    isDone: () => isDone,
    // Of one event alone nobody counts before.
    share: () => 0,
    sum: () => sum,
    from: () => (lacking === start ? null : lacking),
  };
}

const outsideOf = (db: Database, own: OwnGeneration, tickets: number): Walk<OutsideCounts> =>
  walkBuckets(tickets, nobody, async (part) => first(db.query(proveOutside(own, part))));

async function first<Row>(rows: Promise<readonly Row[]>): Promise<Row> {
  const [row] = await rows;
  if (row === undefined) throw new RangeError('A count has no row.');
  return row;
}

const added = <Counts extends object>(a: Counts, b: Counts): Counts =>
  Object.fromEntries(
    Object.entries(a).map(([name, value]) => [name, Number(value) + Number(b[name as keyof Counts])]),
  ) as Counts;

/** Every count that must be 0 and is not, in words; empty = it holds. */
export function faultsOf({ inScope, outOfScope }: RotationProof): string[] {
  const faults: [number, string][] = [
    [inScope.withoutToken, 'tickets in scope have no current token'],
    [inScope.duplicates, 'new tokens are stored more than once'],
    [inScope.oldThatVerify, 'old tokens in scope would be accepted'],
    [outOfScope.lost, 'tickets out of scope have lost their token'],
  ];
  return faults.filter(([count]) => count > 0).map(([count, text]) => `${count.toLocaleString('en')} ${text}`);
}
