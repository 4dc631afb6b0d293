import { Readable } from 'node:stream';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { orderWithHistory } from '../../domains/orders/order-submission.ts';
import { type BulkPart, partOfArray, partsOfLines, type RowContext } from '../bulk-parts.ts';
import { type BulkSummary, type Report, reports, runBulk } from '../bulk-run.ts';
import { drain } from '../error-answers.ts';
import { failureOf, httpError, problemOf } from '../failure.ts';
import type { HttpDeps, Routes } from '../http-types.ts';
import { createOutcomeSpool } from '../outcome-spool.ts';
import { choice } from '../query-parameters.ts';
import { chunksOf, decodedBody, idempotencyKeyOf, readJsonArray } from '../request-input.ts';
import { pathOf } from '../requests.ts';

const bulkQuery = z.strictObject({
  report: choice(reports, 'Which outcomes are told: only rejected rows, all, or none.'),
});

const row = orderWithHistory.meta({
  id: 'BulkRow',
  description: 'An order; with `statuses` (its history) the key needs the scope orders:import.',
});

const outcomeLine = z
  .union([
    z.object({
      line: z.int(),
      outcome: z.enum(['created', 'replayed', 'rejected']),
      order_id: z.string().optional(),
      code: z.string().optional(),
      detail: z.string().optional(),
      errors: z.array(z.object({ pointer: z.string(), code: z.string(), detail: z.string() })).optional(),
    }),
    z.object({
      summary: z.object({
        rows: z.int(),
        created: z.int(),
        replayed: z.int(),
        rejected: z.int(),
        statuses_added: z.int(),
      }),
    }),
    z.object({ error: z.object({ type: z.string(), code: z.string(), status: z.int(), detail: z.string() }) }),
  ])
  .meta({
    id: 'BulkOutcome',
    description: 'A line of the answer. The last one is the summary, or the error that ended the request.',
  });

/** Many orders in one request. */
export async function addOrderBulkRoute(routes: Routes, deps: HttpDeps): Promise<void> {
  routes.removeAllContentTypeParsers();
  for (const type of ['application/x-ndjson', 'application/ndjson', 'application/jsonl', 'application/json']) {
    // The body stays a stream: the handler reads it at the pace of the database.
    routes.addContentTypeParser(type, (_request, _payload, done) => done(null));
  }
  routes.post(
    '/orders/bulk',
    {
      schema: {
        summary: 'Create many orders',
        description:
          'NDJSON of any length, or a JSON array of up to 1,000 orders; gzip as Content-Encoding. Rows are stored in parts of 2,000 lines, each whole or not at all. The answer is NDJSON: outcomes and a closing line `{"summary": …}`. **No summary line means: send it again**; rows with an order_number are recognised, and with the header Idempotency-Key the others too (their key is `<Idempotency-Key>/<line>`).',
        tags: ['orders'],
        querystring: bulkQuery,
      },
      config: {
        scope: 'orders:write',
        streams: true,
        problems: [
          'malformed_json',
          'malformed_gzip',
          'too_many_rows',
          'body_too_large',
          'unsupported_media_type',
          'spool_full',
        ],
        streamedBody: { 'application/x-ndjson': row, 'application/json': z.array(row) },
        streamedAnswer: { 'application/x-ndjson': outcomeLine },
      },
    },
    (request, reply) => answerBulk(deps, { request, reply, report: request.query.report ?? 'rejected' }),
  );
}

interface Exchange {
  readonly request: FastifyRequest;
  readonly reply: FastifyReply;
  readonly report: Report;
}

async function answerBulk(
  { app, metrics, isDraining }: HttpDeps,
  { request, reply, report }: Exchange,
): Promise<FastifyReply> {
  const context = { caller: request.caller, requestKey: idempotencyKeyOf(request.headers) };
  const stopping = new AbortController();
  const parts = await partsOf(request, {
    context,
    signal: stopping.signal,
    arrayLimitBytes: app.config.http.bodyLimitBytes,
  });
  const spool = createOutcomeSpool({ limitBytes: app.config.http.spoolLimitBytes });
  const confirm = async (): Promise<void> => {
    if (reply.raw.destroyed) throw httpError('malformed_request', 'The client is gone.');
    if (isDraining()) throw httpError('shutting_down', 'The server is being stopped. Send the whole request again.');
    await request.caller.confirm();
  };

  let answering = false;
  let counted = { created: 0, replayed: 0, rejected: 0 };
  await new Promise<void>((resolve, reject) => {
    const onPart = (summary: Readonly<BulkSummary>): void => {
      for (const outcome of ['created', 'replayed', 'rejected'] as const)
        metrics.addBulkRows(outcome, summary[outcome] - counted[outcome]);
      counted = { ...summary };
      answering = true;
      resolve();
    };
    runBulk({ parts, writer: app.orders.writer, report, spool, confirm, onPart, stop: () => stopping.abort() }).then(
      (summary) => {
        spool.end(`${JSON.stringify({ summary })}\n`);
        resolve();
      },
      (error: unknown) => {
        // Before the first part is stored the status can still tell of the failure; afterwards a last line does.
        if (answering) spool.end(errorLine(error, request), endOf(request, reply));
        else reject(error);
        const { code } = failureOf(error);
        if (answering)
          app.logger.warn({ err: error, request_id: request.id, code, rows: counted }, 'a bulk request ended early');
      },
    );
  });
  // Without this a client that leaves while nothing is to be told would keep its spool.
  reply.raw.once('close', () => spool.end(''));
  return reply
    .type('application/x-ndjson')
    .send(Readable.from(spool.read(), { objectMode: false, highWaterMark: 64 * 1024 }));
}

interface Reading {
  readonly context: RowContext;
  readonly signal: AbortSignal;
  readonly arrayLimitBytes: number;
}

async function partsOf(
  request: FastifyRequest,
  { context, signal, arrayLimitBytes }: Reading,
): Promise<AsyncIterable<BulkPart>> {
  const chunks = chunksOf(decodedBody(request.raw), signal);
  const isArray = /^application\/json\b/i.test(request.headers['content-type'] ?? '');
  if (!isArray) return partsOfLines(chunks, context);
  const documents = await readJsonArray(chunks, arrayLimitBytes);
  return Readable.from(documents.length === 0 ? [] : [partOfArray(documents, context)]);
}

const errorLine = (error: unknown, { id, raw }: FastifyRequest): string =>
  `${JSON.stringify({ error: problemOf(failureOf(error), { id, path: pathOf(raw.url) }) })}\n`;

/** Reads on for a moment, so that the last line arrives; whoever still sends then is cut off. */
async function endOf({ raw }: FastifyRequest, reply: FastifyReply): Promise<void> {
  reply.raw.once('finish', () => {
    if (!raw.complete) raw.socket.destroySoon();
  });
  await drain(raw);
}
