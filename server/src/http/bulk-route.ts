import { Readable } from 'node:stream';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import type { Scope } from '../domains/access/api-key.ts';
import { answerInLines, type Exchange } from './answer-in-lines.ts';
import type { Caller } from './authenticate.ts';
import { type BulkCsv, partsOfCsv } from './bulk-csv.ts';
import { type BulkPart, partLines, partOfArray, partsOfLines, type ReadRow } from './bulk-parts.ts';
import { type BulkKind, type BulkSummary, type Report, reports, runBulk } from './bulk-run.ts';
import type { HttpDeps, Routes } from './http-types.ts';
import type { ProblemCode } from './problems.ts';
import { choice } from './query-parameters.ts';
import { chunksOf, decodedBody, idempotencyKeyOf, readJsonArray } from './request-input.ts';

/** Who sends the rows of a bulk request, and how. */
export interface BulkRequest<Query extends z.ZodRawShape> {
  readonly caller: Caller;
  /** The Idempotency-Key: rows without a key of their own have `<key>/<line>`. */
  readonly requestKey: string | null;
  /** The parameters that this route has beside those of every bulk route. */
  readonly query: z.output<z.ZodObject<Query>>;
}

/** A route that takes many rows in one request. */
export interface BulkRoute<Item, Outcome, Summary extends BulkSummary, Query extends z.ZodRawShape> {
  readonly url: string;
  readonly tag: string;
  readonly summary: string;
  readonly description: string;
  readonly scope: Scope;
  /** The document of a row and the lines of the answer (`outcomeLine`): for the documentation. */
  readonly row: z.ZodType;
  readonly answerLine: z.ZodType;
  /** Names what is written in the metrics. */
  readonly name: string;
  /** Parameters of the URL beside `report`. */
  readonly query?: Query;
  /** Takes text/csv too: makes documents of its rows, which `readRow` judges as it judges those of NDJSON. */
  readonly csv?: BulkCsv;
  /** Lines of a part, which is one transaction; 2,000 unless given. */
  readonly partLines?: number;
  /** Called once a request. */
  readRow(request: BulkRequest<Query>): ReadRow<Item>;
  /** Called once a request, never while routes are registered: the documentation is made without an app. */
  kind(request: BulkRequest<Query>): BulkKind<Item, Outcome, Summary>;
}

/** Adds a bulk route, in a context of its own: its bodies stay streams, those of other routes do not. */
export async function addBulkRoute<
  Item,
  Outcome,
  Summary extends BulkSummary,
  Query extends z.ZodRawShape = Record<never, never>,
>(routes: Routes, deps: HttpDeps, route: BulkRoute<Item, Outcome, Summary, Query>): Promise<void> {
  const { summary, description, tag, scope, row, csv } = route;
  await routes.register(async (own) => {
    takeStreams(own, csv === undefined ? rowTypes : [...rowTypes, 'text/csv']);
    own.post(
      route.url,
      {
        schema: {
          summary,
          description,
          tags: [tag],
          querystring: route.query === undefined ? bulkQuery : bulkQuery.extend(route.query),
        },
        config: {
          scope,
          streams: true,
          problems: bulkProblems,
          streamedBody: {
            'application/x-ndjson': row,
            'application/json': z.array(row),
            ...(csv === undefined ? {} : { 'text/csv': z.string().meta({ description: csv.description }) }),
          },
          streamedAnswer: { 'application/x-ndjson': route.answerLine },
        },
      },
      (request, reply) => {
        const { report = 'rejected', ...query } = request.query as z.output<typeof bulkQuery>;
        const of = {
          caller: request.caller,
          requestKey: idempotencyKeyOf(request.headers),
          query: query as BulkRequest<Query>['query'],
        };
        const { name, partLines: lines = partLines } = route;
        const reading = { read: route.readRow(of), csv, partLines: lines };
        return answerBulk(deps, { request, reply, report, name, reading, kind: route.kind(of) });
      },
    );
  });
}

const bulkQuery = z.strictObject({
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

const rowTypes = ['application/x-ndjson', 'application/ndjson', 'application/jsonl', 'application/json'];

/** Bodies stay streams: the handler reads them at the pace of the database. */
export function takeStreams(own: FastifyInstance, types: readonly string[]): void {
  own.removeAllContentTypeParsers();
  for (const type of types) own.addContentTypeParser(type, (_request, _payload, done) => done(null));
}

/** How the body of a request becomes rows. */
interface Reading<Item> {
  readonly read: ReadRow<Item>;
  readonly csv: BulkCsv | undefined;
  readonly partLines: number;
}

/** One bulk request: what it came by, and what it is about. */
interface BulkExchange<Item, Outcome, Summary extends BulkSummary> extends Exchange {
  readonly report: Report;
  readonly name: string;
  readonly reading: Reading<Item>;
  readonly kind: BulkKind<Item, Outcome, Summary>;
}

/** Writes the rows of a request and answers with their outcomes. */
function answerBulk<Item, Outcome, Summary extends BulkSummary>(
  deps: HttpDeps,
  exchange: BulkExchange<Item, Outcome, Summary>,
): Promise<FastifyReply> {
  const { report, kind } = exchange;
  const arrayLimitBytes = deps.app.config.http.bodyLimitBytes;
  return answerInLines(deps, exchange, async ({ spool, stopping, confirm, onPart }) => {
    const parts = await partsOf(exchange, { signal: stopping.signal, arrayLimitBytes });
    let counted = kind.summary();
    return runBulk({
      ...{ kind, parts, report, spool, confirm },
      onPart(summary) {
        addToMetrics(deps, exchange, { summary, counted });
        counted = { ...summary };
        onPart(summary);
      },
      stop: () => stopping.abort(),
    });
  });
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
  { request, reading }: { readonly request: FastifyRequest; readonly reading: Reading<Item> },
  { signal, arrayLimitBytes }: { readonly signal: AbortSignal; readonly arrayLimitBytes: number },
): Promise<AsyncIterable<BulkPart<Item>>> {
  const chunks = chunksOf(decodedBody(request.raw), signal);
  const type = request.headers['content-type'] ?? '';
  if (reading.csv !== undefined && /^text\/csv\b/i.test(type)) return partsOfCsv(chunks, reading.csv, reading);
  if (!/^application\/json\b/i.test(type)) return partsOfLines(chunks, reading.read, reading.partLines);
  const documents = await readJsonArray(chunks, arrayLimitBytes);
  return Readable.from(documents.length === 0 ? [] : [partOfArray(documents, reading.read)]);
}
