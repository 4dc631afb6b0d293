import { beforeAll, describe, expect, test } from 'vitest';
import { dynamic, sql } from '../storage/sql.ts';
import { openTestApi } from '../testing/test-api.ts';

const logged: string[] = [];
const note = (fields: object, message: string) => void logged.push(JSON.stringify({ ...fields, message }, withErrors));
/** An error as a logger writes it: whatever it carries, its causes too. */
const withErrors = (_key: string, value: unknown): unknown =>
  value instanceof Error ? { ...value, message: value.message, stack: value.stack, cause: value.cause } : value;
const { server, rowCounts, app, key } = await openTestApi({
  mode: 'serve',
  authentication: 'required',
  logger: { debug: note, info: note, warn: note, error: note },
});
const { fastify } = server;
const admin = await key('admin');

const json = { 'content-type': 'application/json', authorization: `Bearer ${admin}` };
const ticket = { holder: 'H', event: 'E' };
const text = (document: unknown): string => JSON.stringify(document);
const nested = (depth: number): string => '['.repeat(depth) + ']'.repeat(depth);
const send = (url: string, payload: string, headers: Record<string, string> = json) =>
  fastify.inject({ method: 'POST', url, headers, payload });

let ticketId: string;
let token: string;
let before: Record<string, number>;
beforeAll(async () => {
  ticketId = (await send('/api/v1/tickets', text(ticket))).json().ticket_id;
  token = (await fastify.inject({ url: `/api/v1/tickets/${ticketId}/token`, headers: json })).json().token;
  before = await rowCounts();
});

const badDocuments: readonly (readonly [string, string])[] = [
  ['nothing at all', ''],
  ['half a document', '{"holder": "H"'],
  ['null', 'null'],
  ['an array', '[]'],
  ['no field', '{}'],
  ['no event', text({ holder: 'H' })],
  ['an unknown field', text({ ...ticket, token: 'x' })],
  ['a holder that is a number', text({ ...ticket, holder: 7 })],
  ['a holder that is empty', text({ ...ticket, holder: '' })],
  ['a holder that is too long', text({ ...ticket, holder: 'x'.repeat(201) })],
  ['an event that is null', text({ ...ticket, event: null })],
  ['an event that is too long', text({ ...ticket, event: 'x'.repeat(201) })],
  ['a ticket_number that is empty', text({ ...ticket, ticket_number: '' })],
  ['a ticket_number that is too long', text({ ...ticket, ticket_number: 'x'.repeat(101) })],
  ['a seat that is an object', text({ ...ticket, seat: {} })],
  ['a NUL byte', text({ ...ticket, holder: 'a\u0000b' })],
  ['a lone surrogate', '{"holder":"\\ud800","event":"E"}'],
  ['__proto__', '{"__proto__":{"admin":true},"holder":"H","event":"E"}'],
  ['deep nesting', nested(100_000)],
  ['deep nesting in a field', `{"holder":${nested(50_000)},"event":"E"}`],
];

describe('POST /api/v1/tickets', () => {
  test.each(badDocuments)('refuses %s with a problem', async (_name, payload) => {
    expectProblem(await send('/api/v1/tickets', payload), [400]);
  });

  test.each(['', 'with space', 'ü', 'x'.repeat(256)])('refuses the Idempotency-Key %j', async (idempotencyKey) => {
    expectProblem(await send('/api/v1/tickets', text(ticket), { ...json, 'idempotency-key': idempotencyKey }), [400]);
  });
});

describe('POST /api/v1/tickets/bulk', () => {
  test.each(badDocuments.filter(([, payload]) => payload !== ''))(
    'rejects the row that is %s',
    async (_name, payload) => {
      const answer = await send('/api/v1/tickets/bulk', payload, { ...json, 'content-type': 'application/x-ndjson' });
      expect(answer.statusCode).toBe(200);
      const [row, last] = answer.body
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line));
      expect(row).toMatchObject({ line: 1, outcome: 'rejected', code: expect.any(String), detail: expect.any(String) });
      expect(last).toEqual({ summary: { rows: 1, created: 0, replayed: 0, rejected: 1 } });
    },
  );
});

describe('POST /api/v1/tickets/verify', () => {
  test.each([
    ['nothing', ''],
    ['no token', '{}'],
    ['null', text({ token: null })],
    ['a number', text({ token: 1 })],
    ['an empty token', text({ token: '' })],
    ['white space', text({ token: ' \n' })],
    ['a list of tokens', text({ token: ['a', 'b'] })],
    ['a token that is too long', text({ token: 'x'.repeat(501) })],
    ['a bare string', '"x"'],
  ])('refuses %s with a problem', async (_name, payload) => {
    expectProblem(await send('/api/v1/tickets/verify', payload), [400]);
  });
});

describe('POST /api/v1/tickets/{id}/void', () => {
  test.each([
    ['a reason that is empty', text({ reason: '' })],
    ['a reason that is too long', text({ reason: 'x'.repeat(501) })],
    ['an unknown field', text({ why: 'x' })],
    ['an array', '[]'],
  ])('refuses %s with a problem', async (_name, payload) => {
    expectProblem(await send(`/api/v1/tickets/${ticketId}/void`, payload), [400]);
  });
});

describe('URLs', () => {
  test.each([
    '/api/v1/tickets',
    '/api/v1/tickets?event=',
    '/api/v1/tickets?event=a&event=b',
    '/api/v1/tickets?holder=%00',
    '/api/v1/tickets?event=a&limit=0',
    '/api/v1/tickets?event=a&limit=501',
    '/api/v1/tickets?event=a&order=sideways',
    '/api/v1/tickets?event=a&page=1',
    '/api/v1/tickets/x',
    '/api/v1/tickets/verify',
    '/api/v1/tickets/x/token',
    '/api/v1/tickets/6f1c0f4e-2b7a-4a5c-9d3e-8c1b7a605d2f',
    "/api/v1/tickets/' or 1=1 --",
  ])('like %s are refused with a problem', async (url) => {
    expectProblem(await fastify.inject({ url, headers: json }), [400]);
  });
});

test('none of this wrote a row', async () => {
  expect(await rowCounts()).toEqual(before);
  expect(app.tickets.queued()).toBe(0);
});

describe('each scope opens its own calls and no other', () => {
  const calls = {
    'tickets:read': [
      { method: 'GET', path: () => `/${ticketId}` },
      { method: 'GET', path: () => '?event=E' },
    ],
    'tickets:write': [
      { method: 'POST', path: () => '', payload: text({ ...ticket, ticket_number: 'scopes' }) },
      { method: 'POST', path: () => '/bulk', payload: text([]) },
      { method: 'POST', path: () => '/0197c0b9-3e00-7a5c-9f3e-5d2f8c1b7a60/void', payload: '{}', status: 404 },
    ],
    'tickets:verify': [{ method: 'POST', path: () => '/verify', payload: '{"token":"x"}' }],
    'tickets:token': [{ method: 'GET', path: () => `/${ticketId}/token` }],
  } as const;
  const scopes = Object.keys(calls) as (keyof typeof calls)[];

  test.each([...scopes, 'orders:write'] as const)('%s', async (scope) => {
    const text_ = await key(scope);
    for (const owner of scopes) {
      for (const call of calls[owner]) {
        const { method, path } = call;
        const url = `/api/v1/tickets${path()}`;
        const headers = {
          authorization: `Bearer ${text_}`,
          ...('payload' in call ? { 'content-type': 'application/json' } : {}),
        };
        const answer = await fastify.inject({
          method,
          url,
          headers,
          ...('payload' in call ? { payload: call.payload } : {}),
        });
        if (owner !== scope) expect(answer.json(), url).toMatchObject({ status: 403, code: 'forbidden', scope: owner });
        else
          expect([200, 201, 'status' in call ? call.status : 200], `${url} ${answer.body}`).toContain(
            answer.statusCode,
          );
        const stranger = await fastify.inject({
          method,
          url,
          ...('payload' in call ? { payload: call.payload, headers: { 'content-type': 'application/json' } } : {}),
        });
        expect(stranger.statusCode, url).toBe(401);
      }
    }
  });
});

describe('a token is repeated nowhere', () => {
  const everyAnswer = async () => [
    await send('/api/v1/tickets/verify', text({ token: token.toUpperCase(), more: 1 })),
    await send('/api/v1/tickets/verify', text({ [token]: 1 })),
    await send('/api/v1/tickets/verify', text({ token: { [token]: token } })),
    await send('/api/v1/tickets/verify', text({ token: `${token}${'x'.repeat(500)}` })),
    await send('/api/v1/tickets/verify', `{"token": "${token}"`),
    await send('/api/v1/tickets/verify', `{"token": ${token}}`),
    await send('/api/v1/tickets/verify', text(token)),
    await send('/api/v1/tickets/verify', text({ token }), { ...json, 'content-type': 'text/plain' }),
    await send(`/api/v1/tickets/verify?${token}=1`, text({ token })),
    await send(`/api/v1/tickets/verify?token=${token}`, text({ token })),
    await send(`/api/v1/tickets/verify/${token}`, text({ token })),
    await send(`/api/v1/tickets/${token}/void`, '{}'),
    await fastify.inject({ url: `/api/v1/tickets/${token}`, headers: json }),
    await fastify.inject({ url: `/api/v1/tickets/${token}/token`, headers: json }),
    await fastify.inject({ url: `/api/v1/tickets?event=a&cursor=${token}`, headers: json }),
    await fastify.inject({ method: 'DELETE', url: `/api/v1/tickets/${token}`, headers: json }),
    await fastify.inject({
      method: 'POST',
      url: '/api/v1/tickets/verify',
      payload: text({ token }),
      headers: { 'content-type': 'application/json' },
    }),
  ];

  test('by no refusal', async () => {
    for (const answer of await everyAnswer()) {
      expect(answer.statusCode, answer.body).toBeGreaterThanOrEqual(400);
      expect(answer.body.toLowerCase()).not.toContain(token);
      expect(JSON.stringify(answer.headers).toLowerCase()).not.toContain(token);
    }
    const told = (await send('/api/v1/tickets/verify', text({ [token]: 1 }))).json();
    expect(told.errors.map(({ pointer }: { pointer: string }) => pointer)).toContain('/(token)');
  });

  test('by no failure of the server, by no log and by no metric', async () => {
    expect((await send('/api/v1/tickets/verify', text({ token }))).json().result).toBe('valid');
    await app.db.query(dynamic(sql`alter table tickets rename to tickets_away`));
    try {
      for (const answer of [
        await send('/api/v1/tickets/verify', text({ token })),
        await fastify.inject({ url: `/api/v1/tickets/${ticketId}/token`, headers: json }),
      ]) {
        expect(answer.statusCode).toBe(500);
        expect(answer.body).not.toContain(token);
      }
    } finally {
      await app.db.query(dynamic(sql`alter table tickets_away rename to tickets`));
    }
    expect(logged.some((line) => line.includes('a request failed'))).toBe(true);
    for (const line of logged) expect(line.toLowerCase()).not.toContain(token);
    expect((await fastify.inject('/metrics')).body).not.toContain(token);
  });

  test('and stands in one table of the database only', async () => {
    const tables = await app.db.query(
      dynamic<{
        name: string;
      }>(sql`select format('%I.%I', n.nspname, c.relname) as name from pg_class c join pg_namespace n on n.oid = c.relnamespace
        where c.relkind = 'r' and n.nspname in ('public', 'milliard_jobs')`),
    );
    const holding: string[] = [];
    for (const { name } of tables) {
      const rows = await app.db.query({
        text: `select 1 from ${name} t where t::text like '%' || $1 || '%' limit 1`,
        values: [token],
      });
      if (rows.length > 0) holding.push(name);
    }
    expect(holding).toEqual(['public.ticket_tokens_0']);
  });
});

function expectProblem(
  answer: { statusCode: number; headers: object; body: string },
  statuses: readonly number[],
): void {
  expect(statuses, answer.body).toContain(answer.statusCode);
  expect(answer.headers).toMatchObject({ 'content-type': expect.stringMatching(/^application\/problem\+json/) });
  const problem = JSON.parse(answer.body);
  expect(problem).toMatchObject({
    status: answer.statusCode,
    type: `/problems/${problem.code}`,
    detail: expect.stringMatching(/.+/),
    request_id: expect.any(String),
  });
  expect(answer.body).not.toMatch(/node_modules|\bat .*\.ts|select |insert /i);
}
