import { hash } from 'node:crypto';
import { z } from 'zod';
import { DomainError, InvalidInputError } from '../../core/errors.ts';
import type { RecordRejectionCode } from '../../domains/usage/usage.ts';
import { usageSubmission } from '../../domains/usage/usage-record.ts';
import { cloudEventSchema, eventBatchMediaType, eventMediaType } from '../cloud-events.ts';
import { httpError } from '../failure.ts';
import type { HttpDeps, Routes } from '../http-types.ts';
import type { ProblemCode } from '../problems.ts';
import { idempotencyHeader, idempotencyKeyOf } from '../request-input.ts';
import { toOutcomeDocument, usageOutcomeSchema } from '../usage-outcome.ts';
import { answerSchema } from '../validation.ts';

const maxRecords = 1_000;

export const usageRecordSchema = usageSubmission.meta({
  id: 'UsageRecord',
  'x-examples': [
    {
      record_id: 'r-1001',
      subscription_id: 'SUB789',
      usage_type: 'data',
      used_at: '2026-06-30T12:30:00Z',
      used: 1024,
      price: '0.25',
    },
  ],
});

// Judged record by record, so that a wrong one does not keep the others out; the schema is for the documentation.
const body = z.unknown().meta({ description: 'A record, or an array of up to 1,000.' });

/** One record or a small array, stored together with those of other requests. */
export function addUsageRecordRoute(routes: Routes, { app }: HttpDeps): void {
  routes.post(
    '/usage/records',
    {
      schema: {
        summary: 'Record usage',
        description:
          'A record or a JSON array of up to 1,000; more go to /api/v1/usage/records/bulk. A record is known by subscription_id, record_id and the UTC day of used_at: sent again it is a duplicate, and nothing is counted twice. A single record that is refused is a problem; those of an array are listed in `rejected`, the others are stored. With the header Idempotency-Key the same request again gets the same answer; with another content it is refused. CloudEvents 1.0 are taken in structured, batch and binary mode: `subject` is the subscription, `time` is used_at, `data` holds usage_type, used and price, and the record_id is `source` and `id` with a space between.',
        tags: ['usage'],
        querystring: z.strictObject({}),
        headers: idempotencyHeader,
        body,
        response: {
          201: answerSchema(usageOutcomeSchema, 'What became of the records, now or when the key was first sent.'),
        },
      },
      config: {
        scope: 'usage:write',
        streamedBody: {
          'application/json': body,
          [eventMediaType]: cloudEventSchema,
          [eventBatchMediaType]: z.array(cloudEventSchema),
        },
        problems: [
          'batch_key_reused',
          'usage_type_unknown',
          'in_future',
          'too_old',
          'too_many_rows',
          'body_too_large',
          'unsupported_media_type',
        ],
      },
    },
    async (request, reply) => {
      const documents = documentsOf(request.body);
      if (!Array.isArray(request.body)) refuseSingle(app.usage.judge(request.body).refusal);
      const producerKey = idempotencyKeyOf(request.headers);
      const contentHash = producerKey === null ? null : hash('sha256', JSON.stringify(request.body), 'buffer');
      const outcome = await app.usage.ingest({ documents, actor: request.caller.actor, producerKey, contentHash });
      void reply.code(201);
      if (outcome.replayed) void reply.header('idempotent-replayed', 'true');
      return toOutcomeDocument(outcome);
    },
  );
}

function documentsOf(document: unknown): readonly unknown[] {
  if (!Array.isArray(document)) return [document];
  if (document.length > maxRecords) {
    throw httpError(
      'too_many_rows',
      `The array has ${document.length} records; it may have ${maxRecords}. Send NDJSON to /api/v1/usage/records/bulk.`,
    );
  }
  if (document.length > 0) return document;
  throw new InvalidInputError([{ pointer: '', code: 'too_small', detail: 'must hold a record' }]);
}

const problemOfRejection: Partial<Record<RecordRejectionCode, ProblemCode>> = {
  unknown_usage_type: 'usage_type_unknown',
  in_future: 'in_future',
  too_old: 'too_old',
};

/** @throws InvalidInputError, DomainError for a record that is refused */
function refuseSingle(refusal: { readonly code: RecordRejectionCode; readonly detail: string } | null): void {
  if (refusal === null) return;
  const code = problemOfRejection[refusal.code];
  if (code !== undefined) throw new DomainError(code, refusal.detail);
  throw new InvalidInputError([{ pointer: '', code: 'invalid_value', detail: refusal.detail }]);
}
