import { Readable } from 'node:stream';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { type BulkPart, partOfArray, partsOfLines, type ReadRow } from './bulk-parts.ts';
import { type BulkKind, type BulkSummary, type Report, reports, runBulk } from './bulk-run.ts';
import { drain } from './error-answers.ts';
import { failureOf, httpError, problemOf } from './failure.ts';
import type { HttpDeps, Routes } from './http-types.ts';
import { createOutcomeSpool } from './outcome-spool.ts';
import type { ProblemCode } from './problems.ts';
import { choice } from './query-parameters.ts';
import { chunksOf, decodedBody, readJsonArray } from './request-input.ts';
import { pathOf } from './requests.ts';

export const bulkQuery = z.strictObject({
  report: choice(reports, 'Which outcomes are told: only rejected rows, all, or none.'),
});

/** Problems of every bulk request as a whole; those of single rows stand in its lines. */
export const bulkProblems = [
  'malformed_json',
  'malformed_gzip',
  'too_many_rows',
  'body_too_large',
  'unsupported_media_type',
  'spool_full',
] as const satisfies readonly ProblemCode[];

const rejectedFields = {
  code: z.string().optional(),
  detail: z.string().optional(),
  errors: z.array(z.object({ pointer: z.string(), code: z.string(), detail: z.string() })).optional(),
};

/** The schema of the lines of an answer: outcomes of rows, at the end the summary or the error. For the documentation. */
export const outcomeLine = (
  id: string,
  parts: {
    readonly outcomes: readonly [string, ...string[]];
    readonly fields: z.ZodRawShape;
    readonly sums: z.ZodRawShape;
  },
) =>
  z
    .union([
      z.object({ line: z.int(), outcome: z.enum(parts.outcomes), ...parts.fields, ...rejectedFields }),
      z.object({ summary: z.object(parts.sums) }),
      z.object({ error: z.object({ type: z.string(), code: z.string(), status: z.int(), detail: z.string() }) }),
    ])
    .meta({
      id,
      description: 'A line of the answer. The last one is the summary, or the error that ended the request.',
    });

/** Bodies stay streams: the handler reads them at the pace of the database. For routes in a context of their own. */
export function takeStreams(routes: Routes): void {
  routes.removeAllContentTypeParsers();
  for (const type of ['application/x-ndjson', 'application/ndjson', 'application/jsonl', 'application/json']) {
    routes.addContentTypeParser(type, (_request, _payload, done) => done(null));
  }
}

/** One bulk request: what it came by, and what it is about. */
export interface BulkExchange<Item, Outcome, Summary extends BulkSummary> {
  readonly request: FastifyRequest;
  readonly reply: FastifyReply;
  readonly report: Report;
  /** Names what is written in the metrics. */
  readonly name: string;
  readonly read: ReadRow<Item>;
  readonly kind: BulkKind<Item, Outcome, Summary>;
}

/** Writes the rows of a request and answers with a stream of outcomes, which begins when the first part is stored. */
export async function answerBulk<Item, Outcome, Summary extends BulkSummary>(
  deps: HttpDeps,
  exchange: BulkExchange<Item, Outcome, Summary>,
): Promise<FastifyReply> {
  const { request, reply, report, kind } = exchange;
  const { app } = deps;
  const stopping = new AbortController();
  const parts = await partsOf(exchange, { signal: stopping.signal, arrayLimitBytes: app.config.http.bodyLimitBytes });
  const spool = createOutcomeSpool({ limitBytes: app.config.http.spoolLimitBytes });
  let answering = false;
  let counted = kind.summary();
  await new Promise<void>((resolve, reject) => {
    const onPart = (summary: Readonly<Summary>): void => {
      addToMetrics(deps, exchange, { summary, counted });
      counted = { ...summary };
      answering = true;
      resolve();
    };
    const confirm = () => mayGoOn(deps, exchange);
    runBulk({ kind, parts, report, spool, confirm, onPart, stop: () => stopping.abort() }).then(
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

/** @throws DomainError when the client is gone, the server is being stopped, or the key is no longer in force */
async function mayGoOn(
  { isDraining }: HttpDeps,
  { request, reply }: Pick<BulkExchange<unknown, unknown, BulkSummary>, 'request' | 'reply'>,
): Promise<void> {
  if (reply.raw.destroyed) throw httpError('malformed_request', 'The client is gone.');
  if (isDraining()) throw httpError('shutting_down', 'The server is being stopped. Send the whole request again.');
  await request.caller.confirm();
}

function addToMetrics<Summary extends BulkSummary>(
  { metrics }: HttpDeps,
  { name, kind }: { readonly name: string; readonly kind: BulkKind<never, unknown, Summary> },
  { summary, counted }: { readonly summary: Readonly<Summary>; readonly counted: Readonly<Summary> },
): void {
  for (const outcome of [...kind.outcomes, 'rejected'] as const) {
    metrics.addBulkRows({ kind: name, outcome }, Number(summary[outcome]) - Number(counted[outcome]));
  }
}

async function partsOf<Item>(
  { request, read }: { readonly request: FastifyRequest; readonly read: ReadRow<Item> },
  { signal, arrayLimitBytes }: { readonly signal: AbortSignal; readonly arrayLimitBytes: number },
): Promise<AsyncIterable<BulkPart<Item>>> {
  const chunks = chunksOf(decodedBody(request.raw), signal);
  const isArray = /^application\/json\b/i.test(request.headers['content-type'] ?? '');
  if (!isArray) return partsOfLines(chunks, read);
  const documents = await readJsonArray(chunks, arrayLimitBytes);
  return Readable.from(documents.length === 0 ? [] : [partOfArray(documents, read)]);
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
