import { beforeAll, describe, expect, test } from 'vitest';
import { openTestApi } from '../testing/test-api.ts';

const { app, server, key } = await openTestApi({ mode: 'serve', authentication: 'required' });
const { fastify } = server;
const headers = { authorization: `Bearer ${await key('admin')}` };

const today = new Date().toISOString().slice(0, 10);
const yesterday = new Date(Date.now() - 86_400_000).toISOString().slice(0, 10);
const path = `/api/v1/usage/records/SUB%2F1/r%201`;
const address = `${path}?day=${yesterday}`;
const record = {
  record_id: 'r 1',
  subscription_id: 'SUB/1',
  usage_type: 'data',
  used_at: `${yesterday}T10:00:00Z`,
  used: 1024,
  price: '0.25',
};
const correction = { revision: 9, used: 1 };
const adjustment = {
  subscription_id: 'SUB/1',
  usage_type: 'voice',
  day: '2020-02-29',
  adjustment_id: 'a-1',
  used_delta: 60,
  price_delta: '1.50',
  reason: 'settled',
};

type Method = 'GET' | 'POST' | 'PATCH' | 'DELETE';

/** With a body, or with other headers. */
const send = (method: Method, url: string, { body, more = {} }: { body?: unknown; more?: object } = {}) =>
  fastify.inject({
    method,
    url,
    headers: { ...headers, ...(body === undefined ? {} : { 'content-type': 'application/json' }), ...more },
    ...(body === undefined ? {} : { payload: typeof body === 'string' ? body : JSON.stringify(body) }),
  });
const patch = (body: unknown, url = address) => send('PATCH', url, { body });
const adjust = (body: unknown) => send('POST', '/api/v1/usage/adjustments', { body });

beforeAll(async () => {
  expect((await send('POST', '/api/v1/usage/records', { body: record })).statusCode).toBe(201);
});

test('a record is corrected, deleted and brought back, and tells its history', async () => {
  const sent = await send('GET', address);
  expect(sent.statusCode).toBe(200);
  expect(sent.headers['etag']).toBe('"v0"');
  expect(sent.json()).toMatchObject({
    subscription_id: 'SUB/1',
    record_id: 'r 1',
    day: yesterday,
    revision: 0,
    deleted: false,
    record: { usage_type: 'data', used: '1024', price: '0.25' },
    revisions: [],
  });
  const body = { revision: 1, price: '0.2', usage_type: 'voice', reason: 'the old plan' };
  const corrected = await patch(body);
  expect(corrected.statusCode).toBe(200);
  expect(corrected.headers).not.toHaveProperty('idempotent-replayed');
  const expected = {
    revision: 1,
    record: { subscription_id: 'SUB/1', usage_type: 'voice', used: '1024', price: '0.20' },
  };
  expect(corrected.json()).toMatchObject(expected);
  const again = await patch(body);
  expect(again.headers['idempotent-replayed']).toBe('true');
  expect(again.json()).toEqual(corrected.json());
  expectProblem(await patch({ ...body, price: '0.3' }), 422, 'usage_key_reused');
  expect(expectProblem(await patch({ ...body, revision: 3 }), 409, 'usage_revision_conflict')).toMatchObject({
    revision: 1,
  });

  const deletion = `${address}&revision=2&reason=twice`;
  expect((await send('DELETE', deletion)).json()).toMatchObject({ revision: 2, deleted: true });
  expect((await send('DELETE', deletion)).headers['idempotent-replayed']).toBe('true');
  expectProblem(await patch({ revision: 3, used: 1 }), 409, 'usage_record_deleted');
  const back = await patch({ revision: 3, deleted: false, used: '9223372036854775807' });
  expect(back.json()).toMatchObject({
    revision: 3,
    deleted: false,
    record: { used: '9223372036854775807', price: '0.20' },
  });
  const history = await send('GET', address);
  expect(history.json()).toMatchObject({
    revision: 3,
    sent: { usage_type: 'data', used: '1024', price: '0.25' },
    revisions: [
      { revision: 3, reason: null },
      { revision: 2, deleted: true, reason: 'twice' },
      { revision: 1, reason: 'the old plan', actor: expect.stringMatching(/./) },
    ],
  });
  const etag = String(history.headers['etag']);
  expect((await send('GET', address, { more: { 'if-none-match': etag } })).statusCode).toBe(304);
  const found = await app.usage.waitForBatch(BigInt(back.json().batch_id) as never, 0);
  expect(typeof found).toBe('boolean');
});

test('an adjustment is made once, changes the sums of its day and takes no more than there is', async () => {
  const made = await adjust(adjustment);
  expect(made.statusCode).toBe(201);
  expect(made.json()).toMatchObject({ ...adjustment, used_delta: '60' });
  const again = await adjust({ ...adjustment, used_delta: '60', price_delta: '1.5' });
  expect([again.statusCode, again.headers['idempotent-replayed']]).toEqual([201, 'true']);
  expect(again.json()).toEqual(made.json());
  expectProblem(await adjust({ ...adjustment, used_delta: 61 }), 422, 'usage_key_reused');
  const taking = { ...adjustment, adjustment_id: 'a-2', used_delta: '-61', price_delta: '0' };
  expect(expectProblem(await adjust(taking), 422, 'usage_below_zero')).toMatchObject({ total_used: '60' });
  expectProblem(await adjust({ ...adjustment, adjustment_id: 'a-3', day: yesterday }), 409, 'raw_kept');
  expectProblem(await adjust({ ...adjustment, adjustment_id: 'a-3', day: today }), 409, 'raw_kept');
  expectProblem(await adjust({ ...adjustment, adjustment_id: 'a-3', day: '9999-12-31' }), 409, 'raw_kept');
  expectProblem(await adjust({ ...adjustment, adjustment_id: 'a-3', day: '1999-12-31' }), 422, 'too_old');
  expectProblem(await adjust({ ...adjustment, adjustment_id: 'a-3', usage_type: 'fax' }), 422, 'usage_type_unknown');
  const metrics = await send('GET', '/api/v1/usage/metrics?from=2020-02-29&to=2020-02-29&fresh=true&limit=10');
  expect(metrics.json().items).toEqual([
    { subscription_id: 'SUB/1', usage_type: 'voice', total_price: '1.50', total_used: '60', records: 0 },
  ]);
});

test('each call needs its scope', async () => {
  const reader = { authorization: `Bearer ${await key('usage:read', 'usage:write', 'usage:import')}` };
  const corrector = { authorization: `Bearer ${await key('usage:correct')}` };
  expect((await send('GET', address, { more: reader })).statusCode).toBe(200);
  expectProblem(await send('GET', address, { more: corrector }), 403, 'forbidden');
  expectProblem(await send('PATCH', address, { body: correction, more: reader }), 403, 'forbidden');
  expectProblem(await send('DELETE', `${address}&revision=9`, { more: reader }), 403, 'forbidden');
  expectProblem(await send('POST', '/api/v1/usage/adjustments', { body: adjustment, more: reader }), 403, 'forbidden');
  expectProblem(await send('PATCH', address, { body: correction, more: corrector }), 409, 'usage_revision_conflict');
});

const wrongFields: readonly (readonly [string, unknown])[] = [
  ['nothing at all', ''],
  ['half a document', '{"revision": 1'],
  ['null', 'null'],
  ['an array', []],
  ['no revision', { used: 1 }],
  ['no change', { revision: 9 }],
  ['a reason alone', { revision: 9, reason: 'why' }],
  ['an unknown field', { ...correction, record_id: 'r2' }],
  ['revision 0', { ...correction, revision: 0 }],
  ['a revision past all', { ...correction, revision: 2 ** 31 }],
  ['a revision as text', { ...correction, revision: '1' }],
  ['a negative amount', { ...correction, used: -1 }],
  ['a broken amount', { ...correction, used: 1.5 }],
  ['an amount past 2^53 as a number', '{"revision":9,"used":9007199254740993}'],
  ['an amount past 2^63', { ...correction, used: '9223372036854775808' }],
  ['a price as a number', { ...correction, price: 0.2 }],
  ['a negative price', { ...correction, price: '-0.20' }],
  ['a price with 7 places', { ...correction, price: '0.1234567' }],
  ['a price of NaN', { ...correction, price: 'NaN' }],
  ['a price of Infinity', { ...correction, price: 'Infinity' }],
  ['a price with an exponent', { ...correction, price: '1e3' }],
  ['a moment without a zone', { ...correction, used_at: '2026-01-01T00:00:00' }],
  ['a day that does not exist', { ...correction, used_at: '2025-02-29T00:00:00Z' }],
  ['a subscription with a NUL', { ...correction, subscription_id: 'a\u0000b' }],
  ['a subscription with a lone surrogate', '{"revision":9,"subscription_id":"\\ud800"}'],
  ['a long reason', { ...correction, reason: 'x'.repeat(501) }],
  ['deleted: true', { revision: 9, deleted: true }],
  ['__proto__', '{"revision":9,"used":1,"__proto__":{"admin":true}}'],
  ['deep nesting', '['.repeat(50_000)],
];

const wrongAdjustments: readonly (readonly [string, unknown])[] = [
  ['nothing at all', ''],
  ['no reason', { ...adjustment, reason: undefined }],
  ['an empty reason', { ...adjustment, reason: '' }],
  ['no adjustment_id', { ...adjustment, adjustment_id: undefined }],
  ['no change', { ...adjustment, used_delta: 0, price_delta: '-0.00' }],
  ['a day that does not exist', { ...adjustment, day: '2021-02-29' }],
  ['a day with a time', { ...adjustment, day: '2020-02-29T00:00:00Z' }],
  ['a broken amount', { ...adjustment, used_delta: '1.5' }],
  ['an amount of 31 digits', { ...adjustment, used_delta: '1'.repeat(31) }],
  ['a price as a number', { ...adjustment, price_delta: 1.5 }],
  ['a price with 7 places', { ...adjustment, price_delta: '0.1234567' }],
  ['a price with two signs', { ...adjustment, price_delta: '--1' }],
  ['a price of NaN', { ...adjustment, price_delta: 'NaN' }],
  ['an unknown field', { ...adjustment, records_delta: 1 }],
];

describe('bad input gets a problem and changes nothing', () => {
  test.each(wrongFields)('a correction: %s', async (_name, body) => {
    expectProblem(await patch(body), 400);
    // Beneath the same address with the next revision.
    expect((await send('GET', address)).json().revision).toBe(3);
  });

  test.each(wrongAdjustments)('an adjustment: %s', async (_name, body) => {
    expectProblem(await adjust(body), 400);
  });

  const query = `day=${yesterday}&revision=4`;
  test.each([
    path,
    `${path}?day=`,
    `${path}?day=2026-02-30`,
    `${path}?day=${yesterday}&day=${yesterday}`,
    `${path}?day=${yesterday}`,
    `${path}?day=${yesterday}&revision=0`,
    `${path}?day=${yesterday}&revision=-1`,
    `${path}?day=${yesterday}&revision=2147483648`,
    `${path}?day=${yesterday}&revision=1e0`,
    `${path}?${query}&reason=`,
    `${path}?${query}&reason=%00`,
    `${path}?${query}&force=true`,
    `/api/v1/usage/records/a%00b/r?${query}`,
    `/api/v1/usage/records/${'x'.repeat(201)}/r?${query}`,
    `/api/v1/usage/records/%ff/r?${query}`,
  ])('a deletion: %s', async (url) => {
    expectProblem(await send('DELETE', url), 400);
  });

  test('what nobody sent is not found', async () => {
    expectProblem(
      await send('GET', `/api/v1/usage/records/SUB%2F1/r2?day=${yesterday}`),
      404,
      'usage_record_not_found',
    );
    expectProblem(await send('GET', `${path}?day=9999-12-31`), 404, 'usage_record_not_found');
    expectProblem(await send('GET', `${path}?day=0001-01-01`), 409, 'raw_dropped');
    expectProblem(await patch(correction, `${path}?day=2020-01-01`), 409, 'raw_dropped');
    const ahead = new Date(Date.now() + 3_600_000).toISOString();
    expectProblem(await patch({ ...correction, used_at: ahead }), 422, 'in_future');
    expectProblem(await patch({ ...correction, used_at: '0001-01-01T00:00:00Z' }), 422, 'too_old');
  });
});

interface Answer {
  readonly statusCode: number;
  readonly headers: object;
  json(): Record<string, unknown>;
}

function expectProblem(answer: Answer, status: number, code?: string): Record<string, unknown> {
  const problem = answer.json();
  expect([answer.statusCode, ...(code === undefined ? [] : [problem['code']])]).toEqual(
    code === undefined ? [status] : [status, code],
  );
  expect(answer.headers).toMatchObject({ 'content-type': expect.stringContaining('application/problem+json') });
  expect(JSON.stringify(problem)).not.toMatch(/select |insert into|at async/);
  return problem;
}
