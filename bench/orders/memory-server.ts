// The ceiling of reads: Fastify answering the same documents, by the same schemas, from memory. Its paths and documents come from the
// file named on the command line: {"path": document}.
import { readFileSync } from 'node:fs';
import Fastify from 'fastify';
import { orderPageSchema, orderSchema } from '../../server/src/http/order-representation.ts';
import { answerSchema } from '../../server/src/http/validation.ts';

const documents = new Map(
  Object.entries(JSON.parse(readFileSync(process.argv[2] ?? '', 'utf8')) as Record<string, object>),
);
const fastify = Fastify({ logger: false });

fastify.get('/readyz', async () => ({ ready: true }));
fastify.get('/api/v1/orders/:id', { schema: { response: { 200: answerSchema(orderSchema) } } }, async (request) =>
  documents.get(request.url),
);
fastify.get('/api/v1/orders', { schema: { response: { 200: answerSchema(orderPageSchema) } } }, async (request) =>
  documents.get(request.url),
);

process.on('SIGTERM', () => void fastify.close());
await fastify.listen({ host: '127.0.0.1', port: Number(process.env['PORT']) });
