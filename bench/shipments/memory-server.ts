// The ceiling of look-ups: Fastify answering the same documents, by the same schema and with the same ETags, from memory. The file named
// on the command line holds {"path": {"etag": …, "document": …}}.
import { readFileSync } from 'node:fs';
import Fastify, { type FastifyReply } from 'fastify';
import { shipmentSchema } from '../../server/src/http/shipment-representation.ts';
import { answerSchema } from '../../server/src/http/validation.ts';

interface Held {
  readonly etag: string;
  readonly document: object;
}

const held = new Map(Object.entries(JSON.parse(readFileSync(process.argv[2] ?? '', 'utf8')) as Record<string, Held>));
const fastify = Fastify({ logger: false });

fastify.get('/readyz', async () => ({ ready: true }));
fastify.get(
  '/api/v1/shipments/:carrier/:tracking_number',
  { schema: { response: { 200: answerSchema(shipmentSchema) } } },
  async (request, reply) => {
    const found = held.get(request.url);
    // Beside the typed answers: those without a body.
    const bare: FastifyReply = reply;
    if (found === undefined) return bare.code(404).send();
    void reply.header('etag', found.etag);
    if (request.headers['if-none-match'] === found.etag) return bare.code(304).send();
    return found.document;
  },
);

process.on('SIGTERM', () => void fastify.close());
await fastify.listen({ host: '127.0.0.1', port: Number(process.env['PORT']) });
