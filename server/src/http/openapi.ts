import type { FastifyDynamicSwaggerOptions } from '@fastify/swagger';
import type { FastifySchema, RouteOptions } from 'fastify';
import { createJsonSchemaTransform, createJsonSchemaTransformObject } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { type ProblemCode, problemTypeOf } from './problems.ts';
import { sourceOf } from './validation.ts';

const problemSchema = z
  .looseObject({
    type: z.string().meta({ description: 'A URL reference that says what the problem means: /problems/<code>.' }),
    title: z.string(),
    status: z.int(),
    code: z.string(),
    detail: z.string(),
    request_id: z.string(),
    instance: z.string(),
    errors: z
      .array(
        z.object({
          pointer: z
            .string()
            .meta({ description: 'RFC 6901, into the body; /query/…, /headers/… and /path/… for what is no body.' }),
          code: z.string(),
          detail: z.string(),
        }),
      )
      .optional(),
  })
  .meta({
    id: 'Problem',
    description: 'RFC 9457. Facts of a problem, such as `current` and `allowed`, stand beside these members.',
    examples: [
      {
        type: '/problems/status_conflict',
        title: 'Status conflict',
        status: 409,
        code: 'status_conflict',
        detail: 'The order is cancelled since 2026-06-30T12:30:00.000Z; it can become nothing else.',
        request_id: '5f3a2f4e-0d0c-4b38-9d5a-0d3f1c3c3b1e',
        instance: '/api/v1/orders/0197c0b9-3e00-7a5c-9f3e-5d2f8c1b7a60/status',
        current: 'cancelled',
        allowed: [],
      },
    ],
  });

/** What any call under /api/v1 may answer. */
const commonProblems: readonly ProblemCode[] = [
  'invalid_input',
  'unauthenticated',
  'forbidden',
  'internal_error',
  'storage_unavailable',
  'storage_overloaded',
  'storage_timeout',
];

const fromZod = createJsonSchemaTransform({ skipList: [] });
const allComponents = createJsonSchemaTransformObject({});
type Document = Parameters<typeof fromZod>[0];

/** Of these a public call answers all but those about keys. */
const aboutKeys: readonly ProblemCode[] = ['unauthenticated', 'forbidden'];

/** How @fastify/swagger makes the document: from the very zod schemas that validate. */
export const openApiOptions: FastifyDynamicSwaggerOptions = {
  openapi: {
    openapi: '3.1.0',
    info: {
      title: 'Milliard',
      version: '1',
      description:
        'Order operations on PostgreSQL. Amounts are integers in minor units, instants RFC 3339 with milliseconds, ranges half-open. Every failure is an RFC 9457 problem whose `type` leads to its page.',
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    tags: [
      { name: 'orders', description: 'Orders and their status histories.' },
      { name: 'tickets', description: 'Tickets, their secret tokens, and what a token is worth at the door.' },
      { name: 'shipments', description: 'Shipments, their articles, and what carriers report of them.' },
      { name: 'tracking', description: 'Where a parcel is, for whoever has its number; no key.' },
      { name: 'usage', description: 'Metered usage: raw records in, exact sums by subscription, type and day out.' },
      { name: 'jobs', description: 'Long work that goes on where it stopped, whatever is killed meanwhile.' },
      { name: 'cluster', description: 'The nodes of the database and how the rows lie on them.' },
      { name: 'health', description: 'For load balancers and monitoring; no key.' },
      { name: 'problems', description: 'What can go wrong, and what to do.' },
    ],
    components: {
      securitySchemes: {
        apiKey: {
          type: 'http',
          scheme: 'bearer',
          description: 'An API key, `mk_…`, made by `milliard keys create`. `milliard dev` asks for none.',
        },
      },
    },
  },
  hideUntagged: true,
  transform: (document) => {
    const { schema, route } = document as unknown as { schema: FastifySchema | undefined; route: RouteOptions };
    if (schema === undefined || (schema as { hide?: boolean }).hide === true)
      return { schema: { hide: true }, url: document.url } as never;
    const prepared = {
      ...schema,
      ...streamedBodyOf(route),
      response: responsesOf(schema, route),
      ...securityOf(route),
    };
    const { schema: made, url } = fromZod({ ...document, schema: withoutBodies(prepared) } as unknown as Document);
    return { schema: { ...made, ...bodiesOf(prepared, document as unknown as Document) }, url } as never;
  },
  transformObject: (document) => tidy(allComponents(document) as OpenApiDocument) as never,
};

interface Content {
  readonly content: Readonly<Record<string, { readonly schema: z.ZodType }>>;
}

const contentOf = (schemas: Readonly<Record<string, z.ZodType>>): Content => ({
  content: Object.fromEntries(Object.entries(schemas).map(([type, schema]) => [type, { schema }])),
});

const streamedBodyOf = ({ config }: RouteOptions): { body?: Content } =>
  config?.streamedBody === undefined ? {} : { body: contentOf(config.streamedBody) };

// The transform reads a body as one zod schema; one by media type goes through it as if it were an answer.
const isContent = (body: unknown): body is Content => typeof body === 'object' && body !== null && 'content' in body;

function withoutBodies<T extends { body?: unknown }>(schema: T): T {
  return isContent(schema.body) ? { ...schema, body: undefined } : schema;
}

function bodiesOf({ body }: { body?: unknown }, document: Document): { body?: unknown } {
  if (!isContent(body)) return {};
  const content = Object.entries(body.content).map(([type, { schema }]) => {
    const { schema: made } = fromZod({ ...document, schema: { body: schema } } as unknown as Document);
    return [type, { schema: (made as { body: unknown }).body }];
  });
  return { body: { content: Object.fromEntries(content) } };
}

function securityOf({ config }: RouteOptions): object {
  if (config?.public === true) return { security: [] };
  return config?.scope === undefined ? {} : { security: [{ apiKey: [] }], 'x-scope': config.scope };
}

function responsesOf(schema: FastifySchema, { config }: RouteOptions): Record<string, unknown> {
  const responses: Record<string, unknown> = {};
  for (const [status, json] of Object.entries((schema.response ?? {}) as Record<string, { description?: string }>)) {
    const { description, ...shape } = json;
    responses[status] = {
      description,
      content: { 'application/json': { schema: sourceOf(json) ?? z.json().meta({ ...shape }) } },
    };
  }
  if (config?.streamedAnswer !== undefined)
    responses['200'] = { description: 'A stream.', ...contentOf(config.streamedAnswer) };
  if (config?.scope === undefined && config?.public !== true)
    return Object.keys(responses).length > 0
      ? responses
      : { 200: { description: 'OK', content: { 'application/json': { schema: z.looseObject({}) } } } };
  const common = config.public === true ? commonProblems.filter((code) => !aboutKeys.includes(code)) : commonProblems;
  const codes = [...(config.problems ?? []), ...common];
  for (const status of [...new Set(codes.map((code) => problemTypeOf(code).status))].sort()) {
    const here = [...new Set(codes.filter((code) => problemTypeOf(code).status === status))];
    responses[String(status)] = {
      description: here.map((code) => `\`${code}\`: ${problemTypeOf(code).help}`).join('\n\n'),
      content: { 'application/problem+json': { schema: problemSchema } },
    };
  }
  return responses;
}

/** The document as the file server/openapi.json holds it. */
export const formatOpenApi = (document: object): string => `${JSON.stringify(document, null, 2)}\n`;

interface OpenApiDocument {
  readonly paths?: object;
  readonly components?: { readonly schemas?: Readonly<Record<string, unknown>> };
}

const prefix = '#/components/schemas/';
const referencesIn = (part: unknown): string[] =>
  [...JSON.stringify(part ?? {}).matchAll(/"\$ref":"#\/components\/schemas\/(\w+)"/g)].map((match) => match[1] ?? '');

/** Every schema comes in two forms, as it is sent and as it is answered: keeps those in use, under plain names where it can. */
function tidy(document: OpenApiDocument): object {
  const schemas = document.components?.schemas ?? {};
  const used = new Set<string>();
  const follow = (part: unknown): void => {
    for (const name of referencesIn(part)) {
      if (used.has(name)) continue;
      used.add(name);
      follow(schemas[name]);
    }
  };
  follow(document.paths);
  const plainName = (name: string): string => {
    const plain = name.replace(/Input$/, '');
    return used.has(plain) ? name : plain;
  };
  const kept = Object.fromEntries(
    Object.entries(schemas)
      .filter(([name]) => used.has(name))
      .map(([name, schema]) => [plainName(name), schema] as const)
      // Otherwise in the order in which modules happen to be loaded.
      .sort(([one], [other]) => (one < other ? -1 : 1)),
  );
  const whole = { ...document, components: { ...document.components, schemas: kept } };
  return JSON.parse(JSON.stringify(whole), (key, value: unknown) => {
    if (key === '$ref' && typeof value === 'string' && value.startsWith(prefix))
      return prefix + plainName(value.slice(prefix.length));
    return restoreNames(value);
  }) as object;
}

/** zod drops `examples` and `default` of a schema that transforms its input: they travel under other names until here. */
function restoreNames(value: unknown): unknown {
  if (typeof value !== 'object' || value === null || !('x-examples' in value || 'x-default' in value)) return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, one]) => [name.replace(/^x-(examples|default)$/, '$1'), one as unknown]),
  );
}
