import { z } from 'zod';
import { newUsageType } from '../../domains/usage/usage-type-submission.ts';
import type { HttpDeps, Routes } from '../http-types.ts';
import { usageTypeSchema, usageTypesSchema } from '../usage-representation.ts';
import { answerSchema } from '../validation.ts';

const tags = ['usage'];
const noQuery = z.strictObject({});

const newType = newUsageType.meta({ id: 'NewUsageType', 'x-examples': [{ usage_type: 'sms', unit: 'messages' }] });

/** What can be used, and in which unit. */
export function addUsageTypeRoutes(routes: Routes, { app }: HttpDeps): void {
  routes.get(
    '/usage/types',
    {
      schema: {
        summary: 'List usage types',
        description: 'Each has a unit of its own; units are never added to one another.',
        tags,
        querystring: noQuery,
        response: { 200: answerSchema(usageTypesSchema, 'All types, by name.') },
      },
      config: { scope: 'usage:read' },
    },
    async () => ({ items: app.usage.types().map(({ usageType, unit }) => ({ usage_type: usageType, unit })) }),
  );
  routes.post(
    '/usage/types',
    {
      schema: {
        summary: 'Register a usage type',
        description:
          'Once and for all: the unit of a type never changes. The same again is a replay. Other servers know it within a minute.',
        tags,
        querystring: noQuery,
        body: newType,
        response: { 201: answerSchema(usageTypeSchema, 'The type, registered now or before.') },
      },
      config: {
        scope: 'usage:write',
        problems: ['usage_type_unknown', 'body_too_large', 'unsupported_media_type'],
      },
    },
    async ({ body }, reply) => {
      const isKnown = app.usage.types().some(({ usageType }) => usageType === body.usage_type);
      await app.usage.addType({ usageType: body.usage_type, unit: body.unit });
      void reply.code(201);
      if (isKnown) void reply.header('idempotent-replayed', 'true');
      return body;
    },
  );
}
