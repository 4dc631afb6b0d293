import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import { InvalidInputError } from '../core/errors.ts';
import { fieldErrorsOf } from '../core/validation.ts';

const shortcuts = new WeakMap<z.ZodType, (data: never) => unknown>();

/**
 * A quicker way to what a schema makes of input, for routes where a microsecond counts.
 * @param read null: the schema judges, and words the fault
 */
export function withShortcut<S extends z.ZodType>(schema: S, read: (data: z.input<S>) => z.output<S> | null): S {
  shortcuts.set(schema, read as (data: never) => unknown);
  return schema;
}

const placeOf: Readonly<Record<string, string>> = {
  querystring: '/query',
  params: '/path',
  headers: '/headers',
  body: '',
};

/** Validates requests with the zod schemas of their routes; faults come as InvalidInputError with pointers. */
export function addValidation(fastify: FastifyInstance): void {
  fastify.setValidatorCompiler(({ schema, httpPart }) => {
    if (!(schema instanceof z.ZodType)) throw new RangeError('Requests are validated by zod schemas.');
    const place = placeOf[httpPart ?? 'body'] ?? '';
    const shortcut = shortcuts.get(schema);
    return (data: unknown) => {
      const quick = shortcut?.(data as never) ?? null;
      if (quick !== null) return { value: quick };
      const result = schema.safeParse(data);
      return result.success ? { value: result.data } : { error: toError(result.error, place) };
    };
  });
}

function toError(error: z.ZodError, place: string): InvalidInputError {
  const errors = fieldErrorsOf(error).map((fault) =>
    fault.code === 'unknown_field' && place === '/query'
      ? { pointer: place + fault.pointer, code: 'unknown_parameter', detail: 'is not a parameter of this call' }
      : { ...fault, pointer: place + fault.pointer },
  );
  return new InvalidInputError(errors);
}

const noMetadata = z.registry<{ id?: string }>();
const sources = new WeakMap<object, z.ZodType>();

/**
 * The JSON schema by which fast-json-stringify writes answers of this shape: compiled once, several times faster than zod.
 * `sourceOf` finds the zod schema again for the documentation.
 */
export function answerSchema(schema: z.ZodType, description?: string): Record<string, unknown> {
  const json: Record<string, unknown> = z.toJSONSchema(schema, {
    target: 'draft-7',
    io: 'output',
    metadata: noMetadata,
    override: ({ jsonSchema }) => {
      const [first, second] = jsonSchema.anyOf ?? [];
      // `anyOf [x, null]` makes the serialiser validate each value; `type: [x, null]` only looks at it.
      if (
        jsonSchema.anyOf?.length !== 2 ||
        first === undefined ||
        second?.type !== 'null' ||
        typeof first.type !== 'string'
      )
        return;
      delete jsonSchema.anyOf;
      Object.assign(jsonSchema, first, { type: [first.type, 'null'] });
    },
  });
  delete json['$schema'];
  if (description !== undefined) json['description'] = description;
  sources.set(json, schema);
  return json;
}

export const sourceOf = (json: object): z.ZodType | undefined => sources.get(json);
