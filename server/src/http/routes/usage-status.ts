import { z } from 'zod';
import type { HttpDeps, Routes } from '../http-types.ts';
import { batchParams } from '../usage-query.ts';
import { batchSchema, toBatchDocument, toStatusDocument, usageStatusSchema } from '../usage-representation.ts';
import { answerSchema } from '../validation.ts';

const tags = ['usage'];
const noQuery = z.strictObject({});

/** How far the rollup is, and what became of a batch. */
export function addUsageStatusRoutes(routes: Routes, { app }: HttpDeps): void {
  routes.get(
    '/usage/status',
    {
      schema: {
        summary: 'Read the state of usage',
        description:
          'How many batches wait for the rollup and since when, from which day on raw usage is taken, and which days still have raw records.',
        tags,
        querystring: noQuery,
        response: { 200: answerSchema(usageStatusSchema, 'The state at this moment.') },
      },
      config: { scope: 'usage:read' },
    },
    async () => toStatusDocument(await app.usage.usageStatus()),
  );
  routes.get(
    '/usage/batches/:batch_id',
    {
      schema: {
        summary: 'Read a batch of usage',
        description:
          'What became of a batch and whether the sums have it. Batches are forgotten when the raw records of all their days are dropped.',
        tags,
        querystring: noQuery,
        params: batchParams,
        response: { 200: answerSchema(batchSchema, 'The batch.') },
      },
      config: { scope: 'usage:read', problems: ['usage_batch_not_found'] },
    },
    async ({ params }) => toBatchDocument(await app.usage.getBatch(params.batch_id)),
  );
}
