// The ceiling of verification: Fastify giving the same verdicts, by the same schema, from memory. The file named on the command
// line holds {"token": document}.
import { readFileSync } from 'node:fs';
import Fastify from 'fastify';
import { verificationSchema } from '../../server/src/http/ticket-representation.ts';
import { answerSchema } from '../../server/src/http/validation.ts';

const verdicts = new Map(
  Object.entries(JSON.parse(readFileSync(process.argv[2] ?? '', 'utf8')) as Record<string, object>),
);
const fastify = Fastify({ logger: false });

fastify.get('/readyz', async () => ({ ready: true }));
fastify.post<{ Body: { readonly token: string } }>(
  '/api/v1/tickets/verify',
  { schema: { response: { 200: answerSchema(verificationSchema) } } },
  async (request) => verdicts.get(request.body.token),
);

process.on('SIGTERM', () => void fastify.close());
await fastify.listen({ host: '127.0.0.1', port: Number(process.env['PORT']) });
