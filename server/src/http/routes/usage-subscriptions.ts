import { z } from 'zod';
import { isStorableText } from '../../core/text.ts';
import { subscriptionReplacement, subscriptionSubmission } from '../../domains/usage/subscription-submission.ts';
import type { HttpDeps, Routes } from '../http-types.ts';
import { mayBeTorn } from '../may-be-torn.ts';
import { decodePlace, encodePlace } from '../place-cursor.ts';
import { boundTo, subscriptionListQuery, subscriptionParams, usageSearch } from '../usage-query.ts';
import { subscriptionPageSchema, subscriptionSchema, toSubscriptionDocument } from '../usage-representation.ts';
import { answerSchema } from '../validation.ts';

const tags = ['usage'];
const noQuery = z.strictObject({});
const path = '/api/v1/usage/subscriptions';
const list = 'usage-subscriptions';
const facts = { provider: 'north-mobile', status: 'active', plan: 'data-50' };

const newSubscription = subscriptionSubmission.meta({
  id: 'NewSubscription',
  'x-examples': [{ subscription_id: 'SUB789', ...facts }],
});
const replacement = subscriptionReplacement.meta({ id: 'SubscriptionFacts', 'x-examples': [facts] });

/** The registry of subscriptions; those that only have usage are listed too. */
export function addUsageSubscriptionRoutes(routes: Routes, deps: HttpDeps): void {
  addReads(routes, deps);
  addWrites(routes, deps);
}

function addReads(routes: Routes, { app }: HttpDeps): void {
  routes.get(
    '/usage/subscriptions',
    {
      schema: {
        summary: 'List subscriptions',
        description: `Registered subscriptions and those that have usage, in the order of their ids, by bytes. \`registered\` tells which are in the registry. ${mayBeTorn('several subscriptions')}`,
        tags,
        querystring: subscriptionListQuery,
        response: {
          200: answerSchema(subscriptionPageSchema, 'A page, and where the next one is (also in the header Link).'),
        },
      },
      config: { scope: 'usage:read', problems: ['cursor_malformed', 'cursor_mismatch'] },
    },
    async ({ query }, reply) => {
      const { limit, cursor, filter } = query;
      const after = cursor === null ? null : decodePlace(cursor, boundTo(list, query), isStorableText);
      const page = await app.usage.listSubscriptions(filter, { after, limit });
      const nextCursor = page.next === null ? null : encodePlace(page.next, boundTo(list, query));
      const next = nextCursor === null ? null : `${path}?${usageSearch(query, nextCursor)}`;
      if (next !== null) void reply.header('link', `<${next}>; rel="next"`);
      return { items: page.items.map(toSubscriptionDocument), next_cursor: nextCursor, next };
    },
  );
  routes.get(
    '/usage/subscriptions/:subscription_id',
    {
      schema: {
        summary: 'Read a subscription',
        tags,
        querystring: noQuery,
        params: subscriptionParams,
        response: { 200: answerSchema(subscriptionSchema, 'A subscription that is registered or has usage.') },
      },
      config: { scope: 'usage:read', problems: ['subscription_not_found'] },
    },
    async ({ params }) => toSubscriptionDocument(await app.usage.getSubscription(params.subscription_id)),
  );
}

function addWrites(routes: Routes, { app }: HttpDeps): void {
  routes.post(
    '/usage/subscriptions',
    {
      schema: {
        summary: 'Register a subscription',
        description:
          'Known by its subscription_id: the same again is a replay, answered 201 with `Idempotent-Replayed: true`. Usage needs no registration.',
        tags,
        querystring: noQuery,
        body: newSubscription,
        response: { 201: answerSchema(subscriptionSchema, 'The subscription, registered now or before.') },
      },
      config: {
        scope: 'usage:write',
        problems: ['subscription_exists', 'body_too_large', 'unsupported_media_type'],
      },
    },
    async ({ body }, reply) => {
      const { replayed } = await app.usage.registerSubscription(body);
      void reply.code(201).header('location', `${path}/${encodeURIComponent(body.subscriptionId)}`);
      if (replayed) void reply.header('idempotent-replayed', 'true');
      return toSubscriptionDocument(await app.usage.getSubscription(body.subscriptionId));
    },
  );
  routes.put(
    '/usage/subscriptions/:subscription_id',
    {
      schema: {
        summary: 'Register or replace a subscription',
        description: 'What is left out is emptied; `status` becomes `new`. 201 when it was not registered.',
        tags,
        querystring: noQuery,
        params: subscriptionParams,
        body: replacement,
        response: {
          200: answerSchema(subscriptionSchema, 'The subscription as it is now.'),
          201: answerSchema(subscriptionSchema, 'The subscription, registered now.'),
        },
      },
      config: { scope: 'usage:write', problems: ['body_too_large', 'unsupported_media_type'] },
    },
    async ({ params, body }, reply) => {
      const subscriptionId = params.subscription_id;
      const { created } = await app.usage.replaceSubscription({ subscriptionId, ...body });
      void reply.code(created ? 201 : 200);
      return toSubscriptionDocument(await app.usage.getSubscription(subscriptionId));
    },
  );
}
