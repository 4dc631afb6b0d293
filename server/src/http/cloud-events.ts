import type { FastifyInstance, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { documentOfEvent } from '../domains/usage/cloud-event.ts';
import { httpError } from './failure.ts';
import { parseJson } from './json-body.ts';

/** One event, and many of them: CloudEvents 1.0, JSON format and HTTP binding. */
export const eventMediaType = 'application/cloudevents+json';
export const eventBatchMediaType = 'application/cloudevents-batch+json';

export const cloudEventSchema = z
  .looseObject({
    specversion: z.literal('1.0'),
    id: z.string(),
    source: z.string().meta({ description: 'With id, and a space between, the record_id.' }),
    type: z.string().meta({ description: 'Yours to choose.' }),
    subject: z.string().meta({ description: 'The subscription_id.' }),
    time: z.string().meta({ format: 'date-time', description: 'used_at.' }),
    data: z.object({ usage_type: z.string(), used: z.int(), price: z.string() }),
  })
  .meta({
    id: 'UsageEvent',
    examples: [
      {
        specversion: '1.0',
        id: '1001',
        source: '/cells/42',
        type: 'com.example.usage',
        subject: 'SUB789',
        time: '2026-06-30T12:30:00Z',
        data: { usage_type: 'data', used: 1024, price: '0.25' },
      },
    ],
  });

/**
 * Reads CloudEvents into the documents of usage records, for the routes of this context: in structured mode, in batches, and in
 * binary mode, where the attributes are headers and the body is the data.
 */
export function addCloudEventBodies(fastify: FastifyInstance): void {
  const accept = (type: string, read: (document: unknown) => unknown): void => {
    fastify.addContentTypeParser(type, { parseAs: 'buffer' }, (request, body, done) => {
      const encoding = request.headers['content-encoding'];
      if (encoding !== undefined && encoding !== 'identity')
        return done(httpError('unsupported_media_type', 'This call takes no Content-Encoding.'));
      try {
        done(null, read(parseJson(body as Buffer)));
      } catch (error) {
        done(error as Error);
      }
    });
  };
  accept(eventMediaType, documentOfEvent);
  // What is no array is one event that is none.
  accept(eventBatchMediaType, (events) =>
    Array.isArray(events) ? events.map(documentOfEvent) : documentOfEvent(null),
  );
  fastify.addHook('preValidation', async (request) => {
    if (isBinaryMode(request)) request.body = documentOfEvent(eventOf(request));
  });
}

const isBinaryMode = ({ headers }: FastifyRequest): boolean =>
  headers['ce-specversion'] !== undefined && !(headers['content-type'] ?? '').startsWith('application/cloudevents');

const prefix = 'ce-';

function eventOf({ headers, body }: FastifyRequest): Record<string, unknown> {
  const attributes = Object.entries(headers).flatMap(([name, value]) =>
    name.startsWith(prefix) && typeof value === 'string' ? [[name.slice(prefix.length), decoded(value)]] : [],
  );
  return { ...Object.fromEntries(attributes), datacontenttype: headers['content-type'], data: body };
}

/** Attributes travel percent-encoded in headers. */
function decoded(value: string): string {
  try {
    return decodeURIComponent(value);
  } catch {
    return value;
  }
}
