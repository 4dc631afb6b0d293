import type { FastifyReply } from 'fastify';
import { z } from 'zod';
import { adjustmentSubmission } from '../../domains/usage/usage-adjustment.ts';
import { changeOf, correctionSubmission } from '../../domains/usage/usage-correction.ts';
import { etagOf, isKnownVersion } from '../etag.ts';
import type { HttpDeps, Routes } from '../http-types.ts';
import type { ProblemCode } from '../problems.ts';
import { deletionQuery, identityOf, recordParams, recordQuery } from '../usage-correction-query.ts';
import {
  adjustmentSchema,
  correctedRecordSchema,
  recordHistorySchema,
  toAdjustmentDocument,
  toCorrectedRecord,
  toRecordHistory,
} from '../usage-correction-representation.ts';
import { answerSchema } from '../validation.ts';

const tags = ['usage'];
const path = '/usage/records/:subscription_id/:record_id';

const correctionBody = correctionSubmission.meta({
  id: 'UsageCorrection',
  'x-examples': [{ revision: 1, price: '0.20', reason: 'rated by the old plan' }],
});
const adjustmentBody = adjustmentSubmission.meta({
  id: 'NewUsageAdjustment',
  'x-examples': [
    {
      subscription_id: 'SUB789',
      usage_type: 'data',
      day: '2026-02-28',
      adjustment_id: 'a-77',
      used_delta: -1024,
      price_delta: '-0.25',
      reason: 'counted twice by the switch',
    },
  ],
});

const correctionProblems: readonly ProblemCode[] = [
  'usage_record_not_found',
  'raw_dropped',
  'usage_revision_conflict',
  'usage_record_deleted',
  'usage_key_reused',
  'usage_below_zero',
];

/** What changes usage after it was taken in: corrections of records, and adjustments of days that have none any more. */
export function addUsageCorrectionRoutes(routes: Routes, deps: HttpDeps): void {
  addRead(routes, deps);
  addCorrect(routes, deps);
  addDelete(routes, deps);
  addAdjust(routes, deps);
}

// Beside the typed answers: a 304 has no body.
const notModified = (reply: unknown) => (reply as FastifyReply).code(304).send();

function addRead(routes: Routes, { app }: HttpDeps): void {
  routes.get(
    path,
    {
      schema: {
        summary: 'Read a usage record',
        description:
          'As it counts now, as it was sent, and its revisions. A record is addressed as it was sent, wherever it was moved since. Once its day was dropped: 409 `raw_dropped`.',
        tags,
        params: recordParams,
        querystring: recordQuery,
        response: { 200: answerSchema(recordHistorySchema, 'The record with its revisions.') },
      },
      config: { scope: 'usage:read', problems: ['usage_record_not_found', 'raw_dropped'] },
    },
    async (request, reply) => {
      const history = await app.usage.getRecord(identityOf(request.params, request.query.day));
      void reply.headers({ etag: etagOf(history.revision), 'cache-control': 'private, no-cache' });
      if (isKnownVersion(request.headers['if-none-match'], history.revision)) return notModified(reply);
      return toRecordHistory(history);
    },
  );
}

const answer = 'The record as of this revision, made now or before.';

function addCorrect(routes: Routes, { app }: HttpDeps): void {
  routes.patch(
    path,
    {
      schema: {
        summary: 'Correct a usage record',
        description:
          'What is left out stays. Another used_at, usage_type or subscription_id moves the record to other sums; its address stays the one it was sent with. `revision` is one more than the present one: the same revision with the same content again changes nothing and is answered as before (`Idempotent-Replayed: true`), with other content it is refused (422), and a revision that is not the next is a conflict (409, `revision` is the present one). The sums have it with the next rollup, `fresh=true` at once. A record that is sent again stays as it was corrected.',
        tags,
        params: recordParams,
        querystring: recordQuery,
        body: correctionBody,
        response: { 200: answerSchema(correctedRecordSchema, answer) },
      },
      config: {
        scope: 'usage:correct',
        problems: [
          ...correctionProblems,
          'usage_type_unknown',
          'in_future',
          'too_old',
          'body_too_large',
          'unsupported_media_type',
        ],
      },
    },
    async (request, reply) => {
      const { revision, reason } = request.body;
      const outcome = await app.usage.correct({
        identity: identityOf(request.params, request.query.day),
        revision,
        change: changeOf(request.body),
        reason: reason ?? null,
        actor: request.caller.actor,
      });
      void reply.header('etag', etagOf(outcome.revision));
      if (outcome.replayed) void reply.header('idempotent-replayed', 'true');
      return toCorrectedRecord(outcome);
    },
  );
}

function addDelete(routes: Routes, { app }: HttpDeps): void {
  routes.delete(
    path,
    {
      schema: {
        summary: 'Delete a usage record',
        description:
          'It counts in no sum any more; PATCH with `"deleted": false` brings it back. The revision is treated as by PATCH. A record that is sent again stays deleted.',
        tags,
        params: recordParams,
        querystring: deletionQuery,
        response: { 200: answerSchema(correctedRecordSchema, answer) },
      },
      config: { scope: 'usage:correct', problems: correctionProblems },
    },
    async (request, reply) => {
      const { day, revision, reason } = request.query;
      const outcome = await app.usage.correct({
        identity: identityOf(request.params, day),
        revision,
        change: { deleted: true },
        reason: reason ?? null,
        actor: request.caller.actor,
      });
      void reply.header('etag', etagOf(outcome.revision));
      if (outcome.replayed) void reply.header('idempotent-replayed', 'true');
      return toCorrectedRecord(outcome);
    },
  );
}

function addAdjust(routes: Routes, { app }: HttpDeps): void {
  routes.post(
    '/usage/adjustments',
    {
      schema: {
        summary: 'Adjust the sums of a day',
        description:
          'A signed difference to the sums of one subscription, usage type and day whose raw records are not kept any more; it changes no number of records. While the records of the day are kept it is refused (409 `raw_kept`): correct or delete these. Idempotent by `adjustment_id`, which is unique per subscription: a replay answers 201 again, with `Idempotent-Replayed: true`. No sum may fall below zero.',
        tags,
        querystring: z.strictObject({}),
        body: adjustmentBody,
        response: { 201: answerSchema(adjustmentSchema, 'The adjustment, made now or before.') },
      },
      config: {
        scope: 'usage:correct',
        problems: [
          'usage_key_reused',
          'usage_type_unknown',
          'too_old',
          'raw_kept',
          'usage_below_zero',
          'body_too_large',
          'unsupported_media_type',
        ],
      },
    },
    async (request, reply) => {
      const outcome = await app.usage.adjust(request.body, request.caller.actor);
      void reply.code(201);
      if (outcome.replayed) void reply.header('idempotent-replayed', 'true');
      return toAdjustmentDocument(outcome);
    },
  );
}
