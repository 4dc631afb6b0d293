import type { UsageErrorCode } from '../domains/usage/usage.ts';
import type { ProblemType } from './problem-type.ts';

/** The problems of usage. */
export const usageProblems = {
  batch_key_reused: {
    status: 422,
    title: 'Batch key reused',
    help: 'The Idempotency-Key was sent before with another content; `batch_id` is what it belongs to. Use a new key.',
  },
  usage_batch_not_found: {
    status: 404,
    title: 'Usage batch not found',
    help: 'There is no such batch, or all its days were dropped.',
  },
  usage_not_rolled_up: {
    status: 503,
    title: 'Usage not rolled up yet',
    help: 'The batch of `wait_for` is not in the sums yet. Ask again shortly, or read with fresh=true.',
    retryAfterSeconds: 1,
  },
  usage_record_not_found: {
    status: 404,
    title: 'Usage record not found',
    help: 'This subscription has no such record on this UTC day.',
  },
  usage_revision_conflict: {
    status: 409,
    title: 'Usage revision conflict',
    help: 'The record has another revision than the one this correction follows; `revision` is the present one.',
  },
  usage_record_deleted: {
    status: 409,
    title: 'Usage record deleted',
    help: 'The record was deleted. A correction with `"deleted": false` and the next revision brings it back.',
  },
  usage_key_reused: {
    status: 422,
    title: 'Usage key reused',
    help: 'The adjustment_id or revision was sent before with another content.',
  },
  usage_below_zero: {
    status: 422,
    title: 'Usage below zero',
    help: 'The sums of this subscription, usage type and day would fall below zero. Take away no more than there is.',
  },
  usage_type_unknown: {
    status: 422,
    title: 'Unknown usage type',
    help: 'The usage type is not registered, or it is counted in another unit.',
  },
  usage_refused: { status: 422, title: 'Usage refused', help: 'The database refused this usage.' },
  subscription_not_found: {
    status: 404,
    title: 'Subscription not found',
    help: 'This subscription is not registered.',
  },
  subscription_exists: {
    status: 409,
    title: 'Subscription exists',
    help: 'The subscription is registered already, with another content.',
  },
  in_future: {
    status: 422,
    title: 'In the future',
    help: 'The usage lies more than 5 minutes ahead of the clock of the server.',
  },
  too_old: {
    status: 422,
    title: 'Too old',
    help: 'The day lies behind the horizon of raw usage. Adjustments (POST /api/v1/usage/adjustments) take its place.',
  },
  raw_dropped: {
    status: 409,
    title: 'Raw usage dropped',
    help: 'The raw usage of this day was dropped. Send an adjustment: POST /api/v1/usage/adjustments.',
  },
  raw_kept: {
    status: 409,
    title: 'Raw usage kept',
    help: 'The raw records of this day are still there: correct or delete these (PATCH, DELETE /api/v1/usage/records/…) instead of adjusting the sums.',
  },
} as const satisfies Record<UsageErrorCode, ProblemType>;
