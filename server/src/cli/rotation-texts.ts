import { setTimeout as delay } from 'node:timers/promises';
import { z } from 'zod';
import type { App } from '../app.ts';
import { formatInstant } from '../core/time.ts';
import { rotationParameters } from '../domains/tickets/ticket-rotation.ts';
import { type CutOff, findCutOff } from '../domains/tickets/ticket-rotation-service.ts';
import type { JobRun } from '../jobs/job.ts';
import type { Run } from './context.ts';
import { countText } from './job-texts.ts';

export const scopeText = (event: string | null): string => (event === null ? 'all events' : `event ${event}`);

const cutOffText = ({ refusedFrom, hasGrace }: CutOff, event: string | null): string => {
  const tokens = event === null ? 'every older token' : `every older token of event ${event}`;
  return hasGrace
    ? `${tokens} is accepted until ${formatInstant(refusedFrom)}, then refused`
    : `${tokens} is refused since ${formatInstant(refusedFrom)}`;
};

export interface Announcement {
  readonly run: JobRun;
  readonly event: string | null;
  /** A server is to take the run: after some seconds without one, that is what must be told. */
  readonly detached: boolean;
  /** The work at the run is over. */
  readonly signal: AbortSignal;
}

const askEveryMs = 20;
const patienceWithServersMs = 5_000;

/** Says from when on old tokens are refused as soon as that is committed, which is before the first batch. */
export async function announceCutOff({ output }: Run, { db }: App, announcement: Announcement): Promise<void> {
  const { run, event, detached, signal } = announcement;
  const deadlineMs = detached ? performance.now() + patienceWithServersMs : Number.POSITIVE_INFINITY;
  for (;;) {
    // Asked once more after the end, so that a run that ends quickly is announced as well.
    const isLast = signal.aborted || performance.now() > deadlineMs;
    const found = await findCutOff(db, run.runId).catch(() => null);
    if (found !== null) return output.say(cutOffText(found, event));
    if (isLast) break;
    await delay(askEveryMs);
  }
  if (detached)
    output.warn(
      'No server has taken the run yet: the old tokens are STILL ACCEPTED. Start one (milliard serve), or type the same command without --detach.',
    );
}

const proofResult = z.object({
  refused_from: z.string(),
  in_scope: z.object({
    tickets: z.number(),
    without_current_token: z.number(),
    duplicate_tokens: z.number(),
    old_tokens_that_verify: z.number(),
  }),
  out_of_scope: z.object({ tickets: z.number(), verify: z.number(), lost: z.number() }),
});

/** The proof of a finished rotation, for people. */
export function proofLines({ result, parameters }: JobRun): string[] {
  const parsed = proofResult.safeParse(result);
  if (!parsed.success)
    return ['A later rotation has refused these tokens as well and issues the new ones: see milliard jobs list.'];
  const { in_scope: inside, out_of_scope: outside, refused_from: refusedFrom } = parsed.data;
  const { event, keep_days: keepDays } = rotationParameters.parse(parameters);
  return [
    `proof, of ${scopeText(event)}: ${countText(inside.tickets)} tickets; ${countText(inside.without_current_token)} without a current token, ` +
      `${countText(inside.duplicate_tokens)} duplicate tokens, ${countText(inside.old_tokens_that_verify)} old tokens that verify from ${refusedFrom} on`,
    ...(event === null
      ? []
      : [
          `proof, of all other events: ${countText(outside.tickets)} tickets; ${countText(outside.verify)} verify as before, ${countText(outside.lost)} have lost their token`,
        ]),
    `Old tokens answer token_rotated for ${keepDays} days more; then servers delete them (or: milliard tickets purge-tokens).`,
  ];
}
