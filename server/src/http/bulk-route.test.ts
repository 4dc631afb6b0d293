import Fastify from 'fastify';
import { afterEach, expect, test } from 'vitest';
import { z } from 'zod';
import { parseConfig } from '../config.ts';
import { silentLogger } from '../core/ports.ts';
import type { Caller } from './authenticate.ts';
import { addBulkRoute, outcomeLine } from './bulk-route.ts';
import type { BulkKind, BulkSummary } from './bulk-run.ts';
import { failureOf } from './failure.ts';
import type { HttpDeps } from './http-types.ts';
import { createMetrics } from './metrics.ts';
import { addValidation } from './validation.ts';

interface ThingSummary extends BulkSummary {
  created: number;
}

const caller = { actor: 'tests', confirm: async () => {} } as unknown as Caller;

/** A server with one bulk route of things, which are rejected unless they are numbers, and what it wrote. */
async function thingsServer({ partLines, withCsv = true }: { partLines?: number; withCsv?: boolean } = {}) {
  const written: { part: number; items: readonly string[]; source: string }[] = [];
  const fastify = Fastify();
  addValidation(fastify);
  fastify.setErrorHandler((error, _request, reply) => reply.code(400).send({ code: failureOf(error).code }));
  fastify.decorateRequest('caller');
  fastify.addHook('onRequest', async (request) => {
    request.caller = caller;
  });
  const deps: HttpDeps = {
    app: { config: parseConfig({}), logger: silentLogger } as unknown as HttpDeps['app'],
    authenticate: async () => caller,
    metrics: createMetrics(),
    isDraining: () => false,
    isClosing: () => false,
  };
  await addBulkRoute(fastify.withTypeProvider(), deps, {
    url: '/things/bulk',
    tag: 'things',
    summary: 'Write many things',
    description: 'Things.',
    scope: 'orders:write',
    row: z.object({ n: z.string() }),
    answerLine: outcomeLine('BulkThing', { outcomes: ['created', 'rejected'], fields: {}, sums: {} }),
    name: 'things',
    query: { source: z.string().optional() },
    ...(partLines === undefined ? {} : { partLines }),
    ...(withCsv
      ? {
          csv: {
            description: 'n',
            documents:
              () =>
              ([n]: readonly string[]) => ({ n }),
          },
        }
      : {}),
    readRow:
      ({ requestKey }) =>
      (document, line) => {
        const { n } = document as { n: string };
        if (Number.isNaN(Number(n)))
          return { line, item: null, rejection: { code: 'no_number', detail: 'No number.' } } as const;
        return { line, item: `${requestKey}/${n}`, rejection: null };
      },
    kind: ({ query }): BulkKind<string, string, ThingSummary> => ({
      summary: () => ({ rows: 0, created: 0, rejected: 0 }),
      outcomes: ['created'],
      parts: 'in_order',
      write: async (items, part) => {
        written.push({ part, items, source: query.source ?? 'none' });
        return items;
      },
      tell(item, summary) {
        summary.created++;
        return `"outcome":"created","item":"${item}"`;
      },
    }),
  });
  started.push(fastify);
  const send = async (type: string, body: string) => {
    const headers = { 'content-type': type, 'idempotency-key': 'k' };
    const answer = await fastify.inject({
      method: 'POST',
      url: '/things/bulk?report=all&source=file',
      headers,
      payload: body,
    });
    const lines = answer.statusCode === 200 ? answer.body.trim().split('\n') : [answer.body];
    return { status: answer.statusCode, lines: lines.map((line) => JSON.parse(line) as unknown) };
  };
  return { send, written };
}

const started: { close(): PromiseLike<unknown> }[] = [];
afterEach(async () => {
  for (const fastify of started.splice(0)) await fastify.close();
});

test('a bulk route takes the same rows as NDJSON, as a JSON array and as CSV', async () => {
  const bodies = {
    'application/x-ndjson': '{"n":"1"}\n{"n":"x"}\n{"n":"2"}\n',
    'application/json': '[{"n":"1"},{"n":"x"},{"n":"2"}]',
  };
  for (const [type, body] of [...Object.entries(bodies), ['text/csv; charset=utf-8', 'n\n1\nx\n2\n'] as const]) {
    const { send, written } = await thingsServer();
    const first = type.startsWith('text/csv') ? 2 : 1;
    expect(await send(type, body)).toEqual({
      status: 200,
      lines: [
        { line: first, outcome: 'created', item: 'k/1' },
        { line: first + 1, outcome: 'rejected', code: 'no_number', detail: 'No number.' },
        { line: first + 2, outcome: 'created', item: 'k/2' },
        { summary: { rows: 3, created: 2, rejected: 1 } },
      ],
    });
    expect(written).toEqual([{ part: 1, items: ['k/1', 'k/2'], source: 'file' }]);
  }
});

test('parts have the length the route asks for and keep their numbers when one has nothing to write', async () => {
  const { send, written } = await thingsServer({ partLines: 2 });
  const { status } = await send('text/csv', 'n\n1\n2\nx\ny\n3\n');
  expect(status).toBe(200);
  expect(written.map(({ part, items }) => [part, items])).toEqual([
    [1, ['k/1', 'k/2']],
    [3, ['k/3']],
  ]);
});

test('a route that does not read CSV refuses it', async () => {
  const { send, written } = await thingsServer({ withCsv: false });
  expect(await send('text/csv', 'n\n1\n')).toMatchObject({ status: 400, lines: [{ code: 'unsupported_media_type' }] });
  expect(written).toEqual([]);
});
