import { z } from 'zod';
import { clusterSchema, toClusterDocument } from '../cluster-representation.ts';
import type { HttpDeps, Routes } from '../http-types.ts';
import { answerSchema } from '../validation.ts';

/** An answer serves everybody for so long: each of them asks all nodes. */
export const clusterAgeMs = 5_000;

/** How the nodes of the database stand. Changing that is for the command line, beside the machines. */
export function addClusterRoutes(routes: Routes, { app }: HttpDeps): void {
  routes.get(
    '/cluster',
    {
      schema: {
        summary: 'Read the state of the cluster',
        description: `Its nodes, how the shards and bytes lie on them, standbys, what was left prepared, the hottest buckets and the newest rebalance. A node that does not answer is named, and the rest is answered. Up to ${clusterAgeMs / 1_000} s old. A single server is one node.`,
        tags: ['cluster'],
        querystring: z.strictObject({}),
        response: { 200: answerSchema(clusterSchema, 'The cluster, or the single server.') },
      },
      config: { scope: 'admin' },
    },
    async () => toClusterDocument(await app.cluster.status({ maxAgeMs: clusterAgeMs })),
  );
}
