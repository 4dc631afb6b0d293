import { describe, expect, test } from 'vitest';
import { openTestApi } from '../testing/test-api.ts';
import { cutOff, ticketInconsistencies } from '../testing/test-tickets.ts';

const { server, app, rowCounts } = await openTestApi();
const { fastify } = server;

let numbers = 0;
const unique = (prefix: string) => `${prefix}-${++numbers}`;
const post = (url: string, payload: unknown, headers: Record<string, string> = {}) =>
  fastify.inject({
    method: 'POST',
    url,
    headers: { 'content-type': 'application/json', ...headers },
    payload: JSON.stringify(payload),
  });
const create = async (more: object = {}) =>
  (await post('/api/v1/tickets', { holder: unique('H'), event: 'fair', ...more })).json();
const tokenOf = async (id: string) => (await fastify.inject(`/api/v1/tickets/${id}/token`)).json().token as string;
const verify = async (token: string) => (await post('/api/v1/tickets/verify', { token })).json();
const unknownId = '0197c0b9-3e00-7a5c-9f3e-5d2f8c1b7a60';

describe('POST /api/v1/tickets', () => {
  test('answers 201 with the ticket, its Location and its ETag, and without its token', async () => {
    const answer = await post('/api/v1/tickets', {
      holder: 'CUST789',
      event: 'summer-fair-2026',
      ticket_number: 'T-1001',
      seat: 'A 12',
    });
    expect(answer.statusCode).toBe(201);
    const ticket = answer.json();
    expect(ticket).toEqual({
      ticket_id: expect.stringMatching(/^[0-9a-f-]{36}$/),
      ticket_number: 'T-1001',
      holder: 'CUST789',
      event: 'summer-fair-2026',
      seat: 'A 12',
      created_at: expect.stringMatching(/Z$/),
      status: 'active',
      voided_at: null,
      voided_by: null,
      void_reason: null,
      version: 1,
    });
    expect(answer.headers).toMatchObject({
      location: `/api/v1/tickets/${ticket.ticket_id}`,
      etag: '"v1"',
      'cache-control': 'no-store',
    });
    expect(answer.body).not.toContain(await tokenOf(ticket.ticket_id));
    expect((await fastify.inject(String(answer.headers.location))).json()).toEqual(ticket);
  });

  test.each([
    ['its ticket_number', { ticket_number: 'R1' }, {}],
    ['the Idempotency-Key', {}, { 'idempotency-key': 'R2' }],
  ])('recognises the same ticket sent again by %s', async (_by, more, headers) => {
    const body = { holder: 'replay', event: 'fair', ...more };
    const first = await post('/api/v1/tickets', body, headers);
    const token = await tokenOf(first.json().ticket_id);
    const before = await rowCounts();
    const second = await post('/api/v1/tickets', body, headers);
    expect([first.statusCode, second.statusCode]).toEqual([201, 201]);
    expect(first.headers['idempotent-replayed']).toBeUndefined();
    expect(second.headers['idempotent-replayed']).toBe('true');
    expect(second.json()).toEqual(first.json());
    expect(await rowCounts()).toEqual(before);
    expect(await tokenOf(first.json().ticket_id)).toBe(token);
    const other = await post('/api/v1/tickets', { ...body, seat: 'B 1' }, headers);
    expect(other.statusCode).toBe(422);
    expect(other.json()).toMatchObject({ code: 'ticket_key_reused', ticket_id: first.json().ticket_id });
  });

  test('sent by two at once is one ticket', async () => {
    const body = { holder: 'twice', event: 'fair', ticket_number: unique('N') };
    const answers = await Promise.all(Array.from({ length: 20 }, () => post('/api/v1/tickets', body)));
    expect(new Set(answers.map((answer) => answer.json().ticket_id)).size).toBe(1);
    expect(answers.filter(({ headers }) => headers['idempotent-replayed'] === undefined)).toHaveLength(1);
  });
});

describe('POST /api/v1/tickets/bulk', () => {
  const bulk = async (lines: readonly unknown[], headers: Record<string, string> = {}) => {
    const answer = await fastify.inject({
      method: 'POST',
      url: '/api/v1/tickets/bulk?report=all',
      headers: { 'content-type': 'application/x-ndjson', ...headers },
      payload: lines.map((line) => (typeof line === 'string' ? line : JSON.stringify(line))).join('\n'),
    });
    expect(answer.statusCode, answer.body).toBe(200);
    return answer.body
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
  };

  test('stores rows, tells which it rejected by their lines, and sums up; tokens are not in the answer', async () => {
    const number = unique('B');
    const row = { holder: 'bulk', event: 'fair', ticket_number: number };
    const told = await bulk([
      row,
      row,
      '{',
      { ...row, seat: 'other' },
      { holder: 'bulk' },
      '',
      { ...row, ticket_number: unique('B') },
    ]);
    expect(told.map(({ line, outcome, code }) => [line, outcome, code])).toEqual([
      [1, 'created', undefined],
      [2, 'replayed', undefined],
      [3, 'rejected', 'malformed_json'],
      [4, 'rejected', 'ticket_key_reused'],
      [5, 'rejected', 'invalid_input'],
      [7, 'created', undefined],
      [undefined, undefined, undefined],
    ]);
    expect(told[3].ticket_id).toBe(told[0].ticket_id);
    expect(told.at(-1)).toEqual({ summary: { rows: 6, created: 2, replayed: 1, rejected: 3 } });
    expect((await verify(await tokenOf(told[0].ticket_id))).ticket).toMatchObject(row);
  });

  test('is recognised as a whole by its Idempotency-Key', async () => {
    const rows = Array.from({ length: 4_500 }, (_, i) => ({ holder: `bulk ${i % 300}`, event: `many ${i % 3}` }));
    const first = await bulk(rows, { 'idempotency-key': 'whole' });
    const again = await bulk(rows, { 'idempotency-key': 'whole' });
    expect(first.at(-1).summary).toEqual({ rows: 4_500, created: 4_500, replayed: 0, rejected: 0 });
    expect(again.at(-1).summary).toEqual({ rows: 4_500, created: 0, replayed: 4_500, rejected: 0 });
    expect(again.slice(0, -1).map(({ ticket_id }) => ticket_id)).toEqual(
      first.slice(0, -1).map(({ ticket_id }) => ticket_id),
    );
  });
});

describe('GET /api/v1/tickets/{id}', () => {
  test('answers 304 while the version is known, and the ticket once it is void', async () => {
    const { ticket_id } = await create();
    const url = `/api/v1/tickets/${ticket_id}`;
    const read = () => fastify.inject({ url, headers: { 'if-none-match': '"v1"' } });
    expect(await read()).toMatchObject({ statusCode: 304, body: '' });
    await post(`${url}/void`, { reason: 'refunded' });
    const changed = await read();
    expect(changed.statusCode).toBe(200);
    expect(changed.headers).toMatchObject({ etag: '"v2"', 'cache-control': 'private, no-cache' });
    expect(changed.json()).toMatchObject({ status: 'void', void_reason: 'refunded', voided_by: 'dev', version: 2 });
  });

  test.each(['', '/token'])('of an unknown ticket is 404: …%s', async (path) => {
    const answer = await fastify.inject(`/api/v1/tickets/${unknownId}${path}`);
    expect(answer.statusCode).toBe(404);
    expect(answer.json()).toMatchObject({ code: 'ticket_not_found', type: '/problems/ticket_not_found' });
  });
});

describe('GET /api/v1/tickets', () => {
  test('lists by event and by holder, page after page, without repetition or gap', async () => {
    const event = unique('listed & "odd"');
    const made: string[] = [];
    for (let i = 0; i < 7; i++) made.push((await create({ event, holder: `L${i % 2}` })).ticket_id);
    const seen: string[] = [];
    let url: string | null = `/api/v1/tickets?${new URLSearchParams({ event, limit: '3', order: 'oldest' })}`;
    while (url !== null) {
      const answer: Awaited<ReturnType<typeof fastify.inject>> = await fastify.inject(url);
      expect(answer.statusCode, answer.body).toBe(200);
      const page = answer.json();
      seen.push(...page.items.map((ticket: { ticket_id: string }) => ticket.ticket_id));
      expect(answer.headers.link).toBe(page.next === null ? undefined : `<${page.next}>; rel="next"`);
      expect(answer.body).not.toMatch(/"token"/);
      url = page.next;
    }
    expect(seen).toEqual([...made].sort());
    const ofHolder = await fastify.inject(`/api/v1/tickets?${new URLSearchParams({ event, holder: 'L1' })}`);
    expect(ofHolder.json().items).toHaveLength(3);
    expect(ofHolder.json()).toMatchObject({ next: null, next_cursor: null });
  });

  test('binds a cursor to its filters', async () => {
    const event = unique('E');
    await create({ event });
    await create({ event });
    const { next_cursor } = (await fastify.inject(`/api/v1/tickets?event=${event}&limit=1`)).json();
    const other = await fastify.inject(`/api/v1/tickets?event=other&limit=1&cursor=${next_cursor}`);
    expect([other.statusCode, other.json().code]).toEqual([400, 'cursor_mismatch']);
    const broken = await fastify.inject(`/api/v1/tickets?event=${event}&cursor=x`);
    expect([broken.statusCode, broken.json().code]).toEqual([400, 'cursor_malformed']);
  });
});

describe('tokens', () => {
  test('are read from one call, never cached, and their document is what verify takes', async () => {
    const ticket = await create({ seat: 'A 1' });
    const answer = await fastify.inject(`/api/v1/tickets/${ticket.ticket_id}/token`);
    expect(answer.headers['cache-control']).toBe('no-store');
    expect(answer.headers.etag).toBeUndefined();
    const verified = await fastify.inject({
      method: 'POST',
      url: '/api/v1/tickets/verify',
      headers: { 'content-type': 'application/json' },
      payload: answer.body,
    });
    expect(verified.statusCode).toBe(200);
    expect(verified.headers['cache-control']).toBe('no-store');
    expect(verified.json()).toEqual({ result: 'valid', ticket });
  });

  test('answer whatever is shown: nonsense is unknown and no error', async () => {
    for (const token of [
      'x',
      '0197c0b9-3e00-7a5c-9f3e-5d2f8c1b7a60',
      '6f1c0f4e-2b7a-4a5c-9d3e-8c1b7a605d2f',
      '\u0000',
      '\ud800',
      "'; drop table tickets",
    ])
      expect(await verify(token)).toEqual({ result: 'unknown', ticket: null });
  });

  test('of a void ticket are void, and are not shown again', async () => {
    const { ticket_id } = await create();
    const token = await tokenOf(ticket_id);
    const voided = await post(`/api/v1/tickets/${ticket_id}/void`, {});
    const again = await post(`/api/v1/tickets/${ticket_id}/void`, { reason: 'too late' });
    const bare = await fastify.inject({ method: 'POST', url: `/api/v1/tickets/${ticket_id}/void` });
    expect([voided.statusCode, again.statusCode, bare.statusCode]).toEqual([200, 200, 200]);
    expect(again.json()).toEqual(voided.json());
    expect(bare.json()).toEqual(voided.json());
    expect(await verify(token)).toEqual({ result: 'void', ticket: voided.json() });
    const refused = await fastify.inject(`/api/v1/tickets/${ticket_id}/token`);
    expect([refused.statusCode, refused.json().code]).toEqual([409, 'ticket_void']);
    expect((await post(`/api/v1/tickets/${unknownId}/void`, {})).json()).toMatchObject({ code: 'ticket_not_found' });
  });

  test('that leaked are told apart, their tickets ask for patience, and new tickets need none', async () => {
    const event = unique('leaked');
    const { ticket_id } = await create({ event });
    const token = await tokenOf(ticket_id);
    await cutOff(app.db, { event });
    expect(await verify(token)).toEqual({ result: 'token_rotated', ticket: null });
    const waiting = await fastify.inject(`/api/v1/tickets/${ticket_id}/token`);
    expect([waiting.statusCode, waiting.json().code, waiting.headers['retry-after']]).toEqual([
      409,
      'token_not_issued',
      '5',
    ]);
    expect((await verify(await tokenOf((await create({ event })).ticket_id))).result).toBe('valid');
    expect((await fastify.inject('/metrics')).body).toMatch(
      /milliard_ticket_verifications_total\{result="token_rotated"\} [1-9]/,
    );
  });
});

test('what was written hangs together', async () => {
  expect(await ticketInconsistencies(app.db)).toEqual([]);
  expect((await fastify.inject('/metrics')).body).toMatch(/milliard_group_commit_rows_count\{queue="tickets"\} [1-9]/);
});
