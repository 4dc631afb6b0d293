import type { FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { usageColumns } from '../../domains/usage/usage-csv-line.ts';
import type { PartOutcome } from '../../domains/usage/usage-part-service.ts';
import type { UsageFormat } from '../../domains/usage/usage-parts.ts';
import { answerInLines, type Exchange, type Writing } from '../answer-in-lines.ts';
import { bulkProblems, takeStreams } from '../bulk-route.ts';
import type { HttpDeps, Routes } from '../http-types.ts';
import { chunksOf, decodedBody, idempotencyKeyOf } from '../request-input.ts';
import { outcomeFields, toOutcomeDocument } from '../usage-outcome.ts';
import { usageRecordSchema } from './usage-records.ts';

const answerLine = z
  .union([
    z.object({ part: z.int(), first_line: z.int(), lines: z.int(), ...outcomeFields, replayed: z.boolean() }),
    z.object({
      summary: z.object({
        parts: z.int(),
        accepted: z.int(),
        duplicates: z.int(),
        rejected_rows: z.int(),
        batch_id: z.string().nullable(),
      }),
    }),
    z.object({ error: z.object({ type: z.string(), code: z.string(), status: z.int(), detail: z.string() }) }),
  ])
  .meta({
    id: 'UsageBulkOutcome',
    description:
      'A line a part, as soon as it is stored. The last one is the summary, or the error that ended the request.',
  });

/**
 * Any number of records in one request. Unlike other bulk routes it tells of parts, not of rows, and makes rows of the bytes
 * themselves: a hundred thousand records a second leave no time for an object each.
 */
export async function addUsageBulkRoute(routes: Routes, deps: HttpDeps): Promise<void> {
  await routes.register(async (own) => {
    takeStreams(own, ['application/x-ndjson', 'application/ndjson', 'application/jsonl', 'text/csv']);
    own.post(
      '/usage/records/bulk',
      {
        schema: {
          summary: 'Record much usage',
          description: `NDJSON, or CSV with the columns ${usageColumns.join(', ')} in any order, of any length; gzip as Content-Encoding. Stored in parts of 20,000 lines, each whole or not at all and a batch of its own. With the header Idempotency-Key an upload that was cut is sent again as it was: parts that are stored are told as \`replayed\`, and nothing is counted twice. **No summary line means: send it again.**`,
          tags: ['usage'],
          querystring: z.strictObject({}),
        },
        config: {
          scope: 'usage:write',
          streams: true,
          problems: ['batch_key_reused', ...bulkProblems],
          streamedBody: {
            'application/x-ndjson': usageRecordSchema,
            'text/csv': z.string().meta({ description: `A header with ${usageColumns.join(', ')}; a record a line.` }),
          },
          streamedAnswer: { 'application/x-ndjson': answerLine },
        },
      },
      (request, reply) => answer(deps, { request, reply }),
    );
  });
}

interface Sums {
  parts: number;
  accepted: number;
  duplicates: number;
  rejectedRows: number;
  batchId: string | null;
}

function answer(deps: HttpDeps, exchange: Exchange): Promise<FastifyReply> {
  return answerInLines(deps, exchange, async (writing) => {
    const { parts, accepted, duplicates, rejectedRows, batchId } = await writeAll(deps, exchange, writing);
    return { parts, accepted, duplicates, rejected_rows: rejectedRows, batch_id: batchId };
  });
}

async function writeAll(
  { app, metrics }: HttpDeps,
  { request }: Exchange,
  { spool, stopping, confirm, onPart }: Writing,
): Promise<Sums> {
  const sums: Sums = { parts: 0, accepted: 0, duplicates: 0, rejectedRows: 0, batchId: null };
  const outcomes = app.usage.importBytes(chunksOf(decodedBody(request.raw), stopping.signal), {
    format: formatOf(request),
    actor: request.caller.actor,
    producerKey: idempotencyKeyOf(request.headers),
    confirm,
  });
  for await (const outcome of outcomes) {
    sums.parts++;
    sums.accepted += outcome.accepted;
    sums.duplicates += outcome.duplicates;
    sums.rejectedRows += outcome.rejectedRows;
    sums.batchId = String(outcome.batchId);
    metrics.addBulkRows({ kind: 'usage', outcome: 'accepted' }, outcome.replayed ? 0 : outcome.accepted);
    metrics.addBulkRows({ kind: 'usage', outcome: 'duplicates' }, outcome.duplicates);
    metrics.addBulkRows({ kind: 'usage', outcome: 'rejected' }, outcome.rejectedRows);
    await spool.write(lineOf(outcome));
    onPart(sums);
  }
  return sums;
}

const lineOf = (outcome: PartOutcome): string => {
  const { part, firstLine, lines, replayed } = outcome;
  return `${JSON.stringify({ part, first_line: firstLine, lines, ...toOutcomeDocument(outcome), replayed })}\n`;
};

const formatOf = ({ headers }: FastifyRequest): UsageFormat =>
  /^text\/csv\b/i.test(headers['content-type'] ?? '') ? 'csv' : 'ndjson';
