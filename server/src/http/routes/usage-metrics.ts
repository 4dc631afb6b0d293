import { Readable } from 'node:stream';
import type { FastifyReply } from 'fastify';
import { z } from 'zod';
import { InvalidInputError } from '../../core/errors.ts';
import { formatInstant } from '../../core/time.ts';
import type { StreamFormat } from '../../domains/usage/usage-read.ts';
import { negotiate } from '../accept.ts';
import type { Caller } from '../authenticate.ts';
import type { HttpDeps, Routes } from '../http-types.ts';
import { mayBeTorn } from '../may-be-torn.ts';
import { decodePlace, encodePlace } from '../place-cursor.ts';
import { boundTo, type MetricsRequest, metricsQuery, sumKeyOf, sumPlace, usageSearch } from '../usage-query.ts';
import { metricsPageSchema, toSumDocument, usageSumSchema } from '../usage-representation.ts';
import { answerSchema } from '../validation.ts';

const path = '/api/v1/usage/metrics';
const list = 'usage-metrics';

const streams = {
  'application/x-ndjson': { format: 'ndjson', type: 'application/x-ndjson', name: 'usage.ndjson' },
  'text/csv': { format: 'csv', type: 'text/csv; charset=utf-8; header=present', name: 'usage.csv' },
} as const satisfies Record<string, { format: StreamFormat; type: string; name: string }>;

/** Sums of usage by subscription and type, page by page or as one stream. */
export function addUsageMetricsRoute(routes: Routes, { app }: HttpDeps): void {
  routes.get(
    '/usage/metrics',
    {
      schema: {
        summary: 'Read sums of usage',
        description: `What every subscription used of every type in the UTC days from \`from\` to \`to\`, both included; with \`group_by=day\` a row a day. In the order of subscription_id, usage_type and day, by bytes. A subscription whose records were all deleted has no row. \`as_of\` says as of when the sums are; \`fresh=true\` counts what is not rolled up yet, exactly (a page may then have fewer rows than \`limit\`), and \`wait_for\` waits for a batch. By the header Accept the whole answer comes as one stream of one moment, NDJSON (a row a line) or CSV (lines end with a line feed; cells that a spreadsheet would run as formulas begin with an apostrophe), with as_of in the header Milliard-As-Of and without limit and cursor. A stream that fails midway breaks the connection off: what has a proper end is whole. ${mayBeTorn('several subscriptions')} Each sum by itself is whole.`,
        tags: ['usage'],
        querystring: metricsQuery,
        response: { 200: answerSchema(metricsPageSchema, 'A page, and where the next one is.') },
      },
      config: {
        scope: 'usage:read',
        streams: true,
        streamedAnswer: {
          'application/json': metricsPageSchema,
          'application/x-ndjson': usageSumSchema,
          'text/csv': z.string(),
        },
        problems: [
          'usage_type_unknown',
          'usage_batch_not_found',
          'usage_not_rolled_up',
          'not_acceptable',
          'cursor_malformed',
          'cursor_mismatch',
        ],
      },
      exposeHeadRoute: false,
    },
    async (request, reply) => {
      const { query } = request;
      void reply.header('vary', 'accept');
      const type = negotiate(request.headers.accept, ['application/json', 'application/x-ndjson', 'text/csv']);
      if (type !== 'application/json') {
        refusePaging(query);
        const { asOf, chunks } = await app.usage.streamMetrics(query, streams[type].format);
        // Beside the typed answers: a stream.
        return (reply as unknown as FastifyReply)
          .headers({
            'content-type': streams[type].type,
            'content-disposition': `attachment; filename="${streams[type].name}"`,
            'milliard-as-of': formatInstant(asOf),
          })
          .send(Readable.from(confirmed(chunks, request.caller), { objectMode: false, highWaterMark: 256 * 1024 }));
      }
      const { limit, cursor } = query;
      const page = await app.usage.metrics(query, { after: placeOf(cursor, query), limit });
      const nextCursor = page.next === null ? null : encodePlace(sumPlace(page.next), boundTo(list, query));
      const next = nextCursor === null ? null : `${path}?${usageSearch(query, nextCursor)}`;
      if (next !== null) void reply.header('link', `<${next}>; rel="next"`);
      const items = page.items.map(toSumDocument);
      return { items, as_of: formatInstant(page.asOf), next_cursor: nextCursor, next };
    },
  );
}

function placeOf(cursor: string | null, query: MetricsRequest) {
  if (cursor === null) return null;
  const { byDay } = query;
  return sumKeyOf(
    decodePlace(cursor, boundTo(list, query), (text) => sumKeyOf(text, byDay) !== null),
    byDay,
  );
}

/** @throws InvalidInputError when a page of a stream is asked for */
function refusePaging({ isPaged }: MetricsRequest): void {
  if (!isPaged) return;
  const detail = 'limit and cursor belong to pages (Accept: application/json); a stream holds everything';
  throw new InvalidInputError([{ pointer: '/query', code: 'invalid_value', detail }]);
}

const confirmEveryMs = 1_000;

/** A key that is revoked during a stream ends it. */
async function* confirmed(chunks: AsyncIterable<Buffer>, caller: Caller): AsyncGenerator<Buffer> {
  let lastMs = performance.now();
  for await (const chunk of chunks) {
    if (performance.now() - lastMs > confirmEveryMs) {
      await caller.confirm();
      lastMs = performance.now();
    }
    yield chunk;
  }
}
