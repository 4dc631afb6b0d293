import { Readable } from 'node:stream';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { usageColumns } from '../../domains/usage/usage-csv-line.ts';
import type { PartOutcome } from '../../domains/usage/usage-part-service.ts';
import type { UsageFormat } from '../../domains/usage/usage-parts.ts';
import { bulkProblems, endOf, errorLine, mayGoOn, takeStreams } from '../bulk-route.ts';
import { failureOf } from '../failure.ts';
import type { HttpDeps, Routes } from '../http-types.ts';
import { createOutcomeSpool } from '../outcome-spool.ts';
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
      (request, reply) => answer(deps, request, reply),
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

async function answer(deps: HttpDeps, request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
  const { app } = deps;
  const spool = createOutcomeSpool({ limitBytes: app.config.http.spoolLimitBytes });
  // A proxy such as nginx passes on no more of a body once the answer begins: it is answered when everything is stored.
  const answersWhenStored = request.headers.via !== undefined;
  let answering = false;
  const stopping = new AbortController();
  await new Promise<void>((resolve, reject) => {
    const onPart = (): void => {
      answering = true;
      if (!answersWhenStored) resolve();
    };
    writeAll(deps, { request, reply, signal: stopping.signal, tell: (line) => spool.write(line), onPart })
      .then(({ parts, accepted, duplicates, rejectedRows, batchId }) => {
        const summary = { parts, accepted, duplicates, rejected_rows: rejectedRows, batch_id: batchId };
        spool.end(`${JSON.stringify({ summary })}\n`);
        resolve();
      })
      .catch((error: unknown) => {
        stopping.abort();
        // Before the first part is stored the status can still tell of the failure; afterwards a last line does.
        if (!answering) return reject(error);
        spool.end(errorLine(error, request), endOf(request, reply));
        resolve();
        const { code } = failureOf(error);
        app.logger.warn({ err: error, request_id: request.id, code }, 'an upload of usage ended early');
      });
  });
  if (reply.raw.destroyed) {
    // Nobody reads. A reader that never began would not close the spool's file.
    for await (const _ of spool.read()) break;
    return reply.hijack();
  }
  // Without this a client that leaves while nothing is to be told would keep its spool.
  reply.raw.once('close', () => spool.end(''));
  return reply
    .type('application/x-ndjson')
    .send(Readable.from(spool.read(), { objectMode: false, highWaterMark: 64 * 1024 }));
}

interface Writing {
  readonly request: FastifyRequest;
  readonly reply: FastifyReply;
  readonly signal: AbortSignal;
  readonly tell: (line: string) => Promise<void>;
  /** Called when a part is stored and told of. */
  readonly onPart: () => void;
}

async function writeAll(deps: HttpDeps, { request, reply, signal, tell, onPart }: Writing): Promise<Sums> {
  const { app, metrics } = deps;
  const sums: Sums = { parts: 0, accepted: 0, duplicates: 0, rejectedRows: 0, batchId: null };
  const outcomes = app.usage.importBytes(chunksOf(decodedBody(request.raw), signal), {
    format: formatOf(request),
    actor: request.caller.actor,
    producerKey: idempotencyKeyOf(request.headers),
    confirm: () => mayGoOn(deps, { request, reply }),
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
    await tell(lineOf(outcome));
    onPart();
  }
  return sums;
}

const lineOf = (outcome: PartOutcome): string => {
  const { part, firstLine, lines, replayed } = outcome;
  return `${JSON.stringify({ part, first_line: firstLine, lines, ...toOutcomeDocument(outcome), replayed })}\n`;
};

const formatOf = ({ headers }: FastifyRequest): UsageFormat =>
  /^text\/csv\b/i.test(headers['content-type'] ?? '') ? 'csv' : 'ndjson';
