import { isStorableText } from '../../core/text.ts';
import { formatInstant } from '../../core/time.ts';
import type { HttpDeps, Routes } from '../http-types.ts';
import { mayBeTorn } from '../may-be-torn.ts';
import { decodePlace, encodePlace } from '../place-cursor.ts';
import { boundTo, overLimitQuery, usageSearch } from '../usage-query.ts';
import { overLimitPageSchema, toOverLimitDocument } from '../usage-representation.ts';
import { answerSchema } from '../validation.ts';

const path = '/api/v1/usage/over-limit';
const list = 'usage-over-limit';

/** Who has reached a limit. */
export function addUsageOverLimitRoute(routes: Routes, { app }: HttpDeps): void {
  routes.get(
    '/usage/over-limit',
    {
      schema: {
        summary: 'List subscriptions that reached a price limit',
        description: `Every subscription whose usage of a type costs \`price_limit\` or more, with each type that does; types are judged one by one and never added to one another. Over all time, or in the UTC days from \`from\` to \`to\`, both included. In the order of the ids, by bytes. \`as_of\` says as of when the sums are; \`fresh=true\` counts what is not rolled up yet. ${mayBeTorn('several subscriptions')}`,
        tags: ['usage'],
        querystring: overLimitQuery,
        response: {
          200: answerSchema(overLimitPageSchema, 'A page, and where the next one is (also in the header Link).'),
        },
      },
      config: {
        scope: 'usage:read',
        problems: [
          'usage_type_unknown',
          'usage_batch_not_found',
          'usage_not_rolled_up',
          'cursor_malformed',
          'cursor_mismatch',
        ],
      },
    },
    async ({ query }, reply) => {
      const { limit, cursor, priceLimit } = query;
      const after = cursor === null ? null : decodePlace(cursor, boundTo(list, query), isStorableText);
      const page = await app.usage.overLimit(query, { after, limit });
      const nextCursor = page.next === null ? null : encodePlace(page.next, boundTo(list, query));
      const next = nextCursor === null ? null : `${path}?${usageSearch(query, nextCursor)}`;
      if (next !== null) void reply.header('link', `<${next}>; rel="next"`);
      return {
        price_limit: priceLimit,
        items: page.items.map(toOverLimitDocument),
        as_of: formatInstant(page.asOf),
        next_cursor: nextCursor,
        next,
      };
    },
  );
}
