import { describe, expect, test } from 'vitest';
import { type Day, dayOf, formatDay } from '../core/days.ts';
import { systemClock } from '../core/time.ts';
import { openTestApi } from '../testing/test-api.ts';

const { server, app } = await openTestApi();
const { fastify } = server;
const secured = await openTestApi({ mode: 'serve', authentication: 'required' });

const today = dayOf(systemClock.now());
const daysAgo = (days: number) => formatDay((today - days) as Day);
const month = `from=${daysAgo(30)}&to=${daysAgo(0)}`;

let numbers = 0;
const record = (more: object = {}) => ({
  record_id: `r${++numbers}`,
  subscription_id: 'SUB1',
  usage_type: 'data',
  used_at: `${daysAgo(1)}T12:00:00Z`,
  used: 100,
  price: '0.10',
  ...more,
});
const sendBy =
  (method: 'POST' | 'PUT') =>
  (url: string, payload: unknown, headers: Record<string, string> = {}) =>
    fastify.inject({
      method,
      url: `/api/v1/usage/${url}`,
      headers: { 'content-type': 'application/json', ...headers },
      payload: JSON.stringify(payload),
    });
const post = sendBy('POST');
const put = sendBy('PUT');
const get = (url: string, headers: Record<string, string> = {}) =>
  fastify.inject({ url: `/api/v1/usage/${url}`, headers });
const store = async (records: readonly object[]): Promise<string> => {
  const answer = await post('records', records);
  expect(answer.statusCode, answer.body).toBe(201);
  expect(answer.json()).toMatchObject({ accepted: records.length, rejected: [] });
  return answer.json().batch_id;
};
const isoInstant = expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);

/** Every item of a list, by following `next`. */
async function walk(url: string): Promise<unknown[]> {
  const items: unknown[] = [];
  let next: string | null = `/api/v1/usage/${url}`;
  while (next !== null) {
    const answer: Awaited<ReturnType<typeof fastify.inject>> = await fastify.inject(next);
    expect(answer.statusCode, answer.body).toBe(200);
    const page = answer.json();
    expect(answer.headers.link).toBe(page.next === null ? undefined : `<${page.next}>; rel="next"`);
    items.push(...page.items);
    next = page.next;
  }
  return items;
}

const faults = async (url: string) => {
  const answer = await get(url);
  return [
    answer.statusCode,
    answer.json().code,
    ...(answer.json().errors ?? []).map((e: { pointer: string }) => e.pointer),
  ];
};

describe('GET /api/v1/usage/over-limit', () => {
  test('lists who reached the limit, type by type, over all time and in a period', async () => {
    await store([
      record({ subscription_id: 'O1', price: '12.34' }),
      record({ subscription_id: 'O1', usage_type: 'voice', price: '15' }),
      record({ subscription_id: 'O2', price: '12.339999' }),
      record({ subscription_id: 'O3', price: '7.00', used_at: `${daysAgo(3)}T00:00:00Z` }),
      record({ subscription_id: 'O3', price: '7.00', used_at: `${daysAgo(2)}T23:59:59.999999Z` }),
    ]);
    await app.usage.rollup.once();
    const answer = await get('over-limit?price_limit=12.34');
    expect(answer.json()).toEqual({
      price_limit: '12.34',
      items: [
        {
          subscription_id: 'O1',
          exceeded: [
            { usage_type: 'data', total_price: '12.34', exceeded_by: '0.00' },
            { usage_type: 'voice', total_price: '15.00', exceeded_by: '2.66' },
          ],
        },
        { subscription_id: 'O3', exceeded: [{ usage_type: 'data', total_price: '14.00', exceeded_by: '1.66' }] },
      ],
      as_of: isoInstant,
      next_cursor: null,
      next: null,
    });
    const idsOf = async (url: string) =>
      (await get(`over-limit?price_limit=12.34&${url}`))
        .json()
        .items.map((item: { subscription_id: string }) => item.subscription_id);
    expect(await idsOf('usage_type=voice')).toEqual(['O1']);
    expect(await idsOf('subscription_id=O3')).toEqual(['O3']);
    expect(await idsOf(`from=${daysAgo(3)}&to=${daysAgo(2)}`)).toEqual(['O3']);
    expect(await idsOf(`from=${daysAgo(2)}&to=${daysAgo(0)}`)).toEqual(['O1']);
    expect(await walk('over-limit?price_limit=12.34&limit=1')).toEqual(answer.json().items);
  });

  test.each([
    ['', '/query/price_limit'],
    ['price_limit=-1', '/query/price_limit'],
    ['price_limit=1e3', '/query/price_limit'],
    ['price_limit=NaN', '/query/price_limit'],
    ['price_limit=0.1234567', '/query/price_limit'],
    ['price_limit=1&price_limit=2', '/query/price_limit'],
    ['price_limit=1&from=2026-01-01', '/query/to'],
    ['price_limit=1&to=2026-01-01', '/query/from'],
    ['price_limit=1&from=2026-01-02&to=2026-01-01', '/query/to'],
    ['price_limit=1&from=2026-02-30&to=2026-03-01', '/query/from'],
    ['price_limit=1&fresh=yes', '/query/fresh'],
    ['price_limit=1&wait_for=x', '/query/wait_for'],
    ['price_limit=1&limit=0', '/query/limit'],
    ['price_limit=1&subscription_id=%00', '/query/subscription_id'],
    ['price_limit=1&colour=red', '/query/colour'],
  ])('refuses ?%s and says where the fault is', async (query, pointer) => {
    expect(await faults(`over-limit?${query}`)).toEqual([400, 'invalid_input', pointer]);
  });

  test('refuses what belongs to another query, and types that nobody registered', async () => {
    const { next_cursor } = (await get('over-limit?price_limit=0&limit=1')).json();
    expect(await faults(`over-limit?price_limit=1&cursor=${next_cursor}`)).toEqual([400, 'cursor_mismatch']);
    expect(await faults('over-limit?price_limit=1&cursor=x')).toEqual([400, 'cursor_malformed']);
    expect(await faults('over-limit?price_limit=1&usage_type=date')).toEqual([422, 'usage_type_unknown']);
  });
});

describe('GET /api/v1/usage/metrics', () => {
  test('sums by subscription and type, in pages and by day, exactly', async () => {
    await store([
      record({ subscription_id: 'M1', price: '0.10', used: 2 }),
      record({ subscription_id: 'M1', price: '0.20', used: 3 }),
      record({
        subscription_id: 'M1',
        usage_type: 'voice',
        price: '0',
        used: '9223372036854775807',
        used_at: `${daysAgo(2)}T00:00:00Z`,
      }),
      record({ subscription_id: 'M1', usage_type: 'voice', price: '0', used: 1 }),
    ]);
    await app.usage.rollup.once();
    const data = { subscription_id: 'M1', usage_type: 'data', total_price: '0.30', total_used: '5', records: 2 };
    const voice = {
      subscription_id: 'M1',
      usage_type: 'voice',
      total_price: '0.00',
      total_used: '9223372036854775808',
      records: 2,
    };
    const answer = await get(`metrics?${month}&subscription_id=M1`);
    expect(answer.json()).toEqual({ items: [data, voice], as_of: isoInstant, next_cursor: null, next: null });
    expect(await walk(`metrics?${month}&subscription_id=M1&limit=1`)).toEqual([data, voice]);
    expect(await walk(`metrics?${month}&subscription_id=M1&group_by=day&limit=1`)).toEqual([
      { ...data, day: daysAgo(1) },
      { ...voice, day: daysAgo(2), total_used: '9223372036854775807', records: 1 },
      { ...voice, day: daysAgo(1), total_used: '1', records: 1 },
    ]);
    expect(await walk(`metrics?from=${daysAgo(2)}&to=${daysAgo(2)}&subscription_id=M1&usage_type=voice`)).toEqual([
      { ...voice, total_used: '9223372036854775807', records: 1 },
    ]);
  });

  test('counts open batches only when asked to, and waits for one', async () => {
    const batchId = await store([record({ subscription_id: 'F1', price: '1.5' })]);
    const url = `metrics?${month}&subscription_id=F1`;
    expect((await get(url)).json().items).toEqual([]);
    expect((await get(`${url}&fresh=true&wait_for=${batchId}`)).json().items).toMatchObject([{ total_price: '1.50' }]);
    const waiting = get(`${url}&wait_for=${batchId}`);
    await app.usage.rollup.once();
    expect((await waiting).json().items).toMatchObject([{ total_price: '1.50', records: 1 }]);
    expect(await faults(`${url}&wait_for=1`)).toEqual([404, 'usage_batch_not_found']);
  });

  test('says when a batch is not rolled up in time, and that asking again may help', async () => {
    const batchId = await store([record({ subscription_id: 'F2' })]);
    const answer = await get(`metrics?${month}&wait_for=${batchId}`);
    expect([answer.statusCode, answer.headers['retry-after']]).toEqual([503, '1']);
    expect(answer.json()).toMatchObject({ code: 'usage_not_rolled_up', batch_id: batchId });
  });

  test('comes whole as NDJSON and as CSV, with the moment in a header', async () => {
    await app.usage.rollup.once();
    const rows = (await walk(`metrics?${month}&limit=500`)) as Record<string, unknown>[];
    expect(rows.length).toBeGreaterThan(4);
    const ndjson = await get(`metrics?${month}`, { accept: 'application/x-ndjson' });
    expect(ndjson.headers).toMatchObject({ 'content-type': 'application/x-ndjson', 'milliard-as-of': isoInstant });
    expect(
      ndjson.body
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line)),
    ).toEqual(rows);
    const csv = await get(`metrics?${month}&group_by=day&usage_type=voice`, { accept: 'text/csv' });
    expect(csv.headers['content-type']).toContain('text/csv');
    const [head, ...lines] = csv.body.trim().split('\n');
    expect(head).toBe('subscription_id,usage_type,day,total_price,total_used,records');
    expect(lines[0]).toBe(`M1,voice,${daysAgo(2)},0.00,9223372036854775807,1`);
    expect(await get(`metrics?${month}`, { accept: 'image/png' })).toMatchObject({ statusCode: 406 });
    const paged = await get(`metrics?${month}&limit=5`, { accept: 'text/csv' });
    expect([paged.statusCode, paged.json().code]).toEqual([400, 'invalid_input']);
    const unknown = await get(`metrics?${month}&usage_type=date`, { accept: 'text/csv' });
    expect([unknown.statusCode, unknown.json().code]).toEqual([422, 'usage_type_unknown']);
  });

  test.each([
    ['', '/query/from', '/query/to'],
    ['from=2026-01-01', '/query/to'],
    ['from=2026-01-02&to=2026-01-01', '/query/to'],
    ['from=2026-01-01T00:00:00Z&to=2026-01-02', '/query/from'],
    ['from=2026-01-01&to=2026-01-02&group_by=month', '/query/group_by'],
    ['from=2026-01-01&to=2026-01-02&limit=501', '/query/limit'],
  ])('refuses ?%s and says where the fault is', async (query, ...pointers) => {
    expect(await faults(`metrics?${query}`)).toEqual([400, 'invalid_input', ...pointers]);
  });

  test('refuses a cursor of rows of another kind', async () => {
    const { next_cursor } = (await get(`metrics?${month}&limit=1`)).json();
    expect(await faults(`metrics?${month}&group_by=day&cursor=${next_cursor}`)).toEqual([400, 'cursor_malformed']);
    expect(await faults(`metrics?${month}&usage_type=data&cursor=${next_cursor}`)).toEqual([400, 'cursor_mismatch']);
  });
});

describe('the state of usage', () => {
  test('tells of open batches and raw days, and /metrics of the lag', async () => {
    await app.usage.rollup.once();
    expect((await get('status')).json()).toMatchObject({
      open_batches: 0,
      open_rows: '0',
      oldest_open_at: null,
      lag_seconds: 0,
    });
    await store([
      record({ subscription_id: 'T1' }),
      record({ subscription_id: 'T1', used_at: `${daysAgo(5)}T00:00:00Z` }),
    ]);
    const status = (await get('status')).json();
    expect(status).toMatchObject({
      open_batches: 1,
      open_rows: '2',
      oldest_open_at: isoInstant,
      horizon: { raw_from: daysAgo(14), dropped_before: null },
    });
    expect(status.as_of).toBe(status.oldest_open_at);
    expect(status.raw_days).toEqual(expect.arrayContaining([daysAgo(5), daysAgo(1)]));
    expect(status.raw_days).not.toContain(daysAgo(10));
    const scrape = (await fastify.inject('/metrics')).body;
    expect(scrape).toMatch(/^milliard_usage_open_batches 1$/m);
    expect(scrape).toMatch(/^milliard_usage_open_rows 2$/m);
    expect(scrape).toMatch(/^milliard_usage_rollup_lag_seconds \d/m);
  });

  test('shows a batch with its outcome, before and after the rollup', async () => {
    const sent = await post('records', [record(), record({ price: '-1' })], { 'idempotency-key': 'shown' });
    const { batch_id, ...outcome } = sent.json();
    const batch = (await get(`batches/${batch_id}`)).json();
    expect(batch).toEqual({
      batch_id,
      kind: 'records',
      part: 1,
      rows: 1,
      first_day: daysAgo(1),
      last_day: daysAgo(1),
      created_at: isoInstant,
      rolled_up: false,
      rolled_up_at: null,
      outcome,
    });
    expect(outcome).toMatchObject({ accepted: 1, rejected_rows: 1, rejected: [{ line: 2, code: 'invalid_input' }] });
    await app.usage.rollup.once();
    expect((await get(`batches/${batch_id}`)).json()).toEqual({ ...batch, rolled_up: true, rolled_up_at: isoInstant });
    expect(await faults('batches/1')).toEqual([404, 'usage_batch_not_found']);
    expect(await faults('batches/x')).toEqual([400, 'invalid_input', '/path/batch_id']);
  });
});

describe('usage types', () => {
  test('are listed with their units, registered once, and taken from then on', async () => {
    const sms = { usage_type: 'sms', unit: 'messages' };
    const first = await post('types', sms);
    const again = await post('types', sms);
    expect([first.statusCode, again.statusCode]).toEqual([201, 201]);
    expect([first.headers['idempotent-replayed'], again.headers['idempotent-replayed']]).toEqual([undefined, 'true']);
    expect((await get('types')).json()).toEqual({
      items: [{ usage_type: 'data', unit: 'kilobytes' }, sms, { usage_type: 'voice', unit: 'seconds' }],
    });
    const other = await post('types', { ...sms, unit: 'characters' });
    expect([other.statusCode, other.json().code]).toEqual([422, 'usage_type_unknown']);
    await store([record({ subscription_id: 'T2', usage_type: 'sms', used: 3 })]);
    expect((await get(`metrics?${month}&usage_type=sms&fresh=true`)).json().items).toMatchObject([{ total_used: '3' }]);
  });

  test.each([
    [{ usage_type: 'SMS', unit: 'x' }],
    [{ usage_type: 'a b', unit: 'x' }],
    [{ usage_type: 'sms' }],
    [[]],
    [{ usage_type: 'x', unit: '' }],
  ])('are refused when they are %j', async (body) => {
    expect((await post('types', body)).statusCode).toBe(400);
  });
});

describe('subscriptions', () => {
  const facts = { provider: 'north-mobile', status: 'active', plan: 'data-50' };

  test('are registered, replaced and read; usage needs no registration', async () => {
    const first = await post('subscriptions', { subscription_id: 'R/1', ...facts });
    expect(first.statusCode).toBe(201);
    expect(first.headers.location).toBe('/api/v1/usage/subscriptions/R%2F1');
    expect(first.json()).toEqual({
      subscription_id: 'R/1',
      registered: true,
      has_usage: false,
      ...facts,
      created_at: isoInstant,
      updated_at: isoInstant,
    });
    const again = await post('subscriptions', { subscription_id: 'R/1', ...facts });
    expect([again.statusCode, again.headers['idempotent-replayed']]).toEqual([201, 'true']);
    const other = await post('subscriptions', { subscription_id: 'R/1', ...facts, plan: 'other' });
    expect([other.statusCode, other.json().code]).toEqual([409, 'subscription_exists']);
    const replaced = await put('subscriptions/R%2F1', { status: 'expired' });
    expect([replaced.statusCode, replaced.json()]).toMatchObject([
      200,
      { status: 'expired', plan: null, provider: null },
    ]);
    expect((await get('subscriptions/R%2F1')).json()).toEqual(replaced.json());
    expect((await put('subscriptions/R2', {})).statusCode).toBe(201);
    expect((await get('subscriptions/R2')).json()).toMatchObject({ status: 'new', registered: true });
    expect(await faults('subscriptions/nobody')).toEqual([404, 'subscription_not_found']);
    await store([record({ subscription_id: 'unknown' })]);
    await app.usage.rollup.once();
    expect((await get('subscriptions/unknown')).json()).toEqual({
      subscription_id: 'unknown',
      registered: false,
      has_usage: true,
      provider: null,
      status: null,
      plan: null,
      created_at: null,
      updated_at: null,
    });
  });

  test('are listed whether they are registered or only used, each once', async () => {
    await store(['L1', 'L2', '\uFFFDL', '😀L'].map((subscription_id) => record({ subscription_id })));
    await app.usage.rollup.once();
    for (const subscription_id of ['L2', 'L3', '😀L']) await post('subscriptions', { subscription_id, ...facts });
    const shown = async (query: string, limit = 1) =>
      (
        (await walk(`subscriptions?${query}&limit=${limit}`)) as {
          subscription_id: string;
          registered: boolean;
          has_usage: boolean;
        }[]
      )
        .filter((item) => item.subscription_id.includes('L'))
        .map((item) => [item.subscription_id, item.registered, item.has_usage]);
    const all = [
      ['L1', false, true],
      ['L2', true, true],
      ['L3', true, false],
      ['\uFFFDL', false, true],
      ['😀L', true, true],
    ];
    expect(await shown('')).toEqual(all);
    expect(await shown('', 3)).toEqual(all);
    expect(await shown('registered=true')).toEqual(all.filter(([, registered]) => registered));
    expect(await shown('registered=false')).toEqual(all.filter(([, registered]) => !registered));
    expect(await shown('status=active&provider=north-mobile')).toEqual(all.filter(([, registered]) => registered));
    expect(await shown('status=suspended')).toEqual([]);
    expect(await faults('subscriptions?registered=false&status=new')).toEqual([
      400,
      'invalid_input',
      '/query/registered',
    ]);
    expect(await faults('subscriptions?status=gone')).toEqual([400, 'invalid_input', '/query/status']);
  });

  test.each([
    [{ subscription_id: '' }, '/subscription_id'],
    [{ subscription_id: 'x'.repeat(201) }, '/subscription_id'],
    [{ subscription_id: 'x', status: 'gone' }, '/status'],
    [{ subscription_id: 'x', color: 'red' }, '/color'],
    [{}, '/subscription_id'],
  ])('are refused when they are %j', async (body, pointer) => {
    const answer = await post('subscriptions', body);
    expect([answer.statusCode, answer.json().errors[0].pointer]).toEqual([400, pointer]);
  });
});

describe('CloudEvents', () => {
  const event = (more: object = {}) => ({
    specversion: '1.0',
    id: `e${++numbers}`,
    source: '/cells/42',
    type: 'com.example.usage',
    subject: 'CE1',
    time: `${daysAgo(1)}T12:00:00+02:00`,
    traceparent: 'x',
    data: { usage_type: 'data', used: 7, price: '0.25' },
    ...more,
  });
  const structured = { 'content-type': 'application/cloudevents+json; charset=utf-8' };
  const batched = { 'content-type': 'application/cloudevents-batch+json' };
  const sumOf = async (id: string) => (await get(`metrics?${month}&subscription_id=${id}&fresh=true`)).json().items;

  test('are stored in structured, batch and binary mode, known by source and id', async () => {
    const one = event({ id: 'same' });
    const first = await post('records', one, structured);
    expect([first.statusCode, first.json()]).toMatchObject([201, { accepted: 1 }]);
    const batch = await post('records', [one, event({ id: 'same', source: '/cells/43' }), event()], batched);
    expect(batch.json()).toMatchObject({ accepted: 2, duplicates: 1, rejected: [] });
    const { data, ...attributes } = event({ subject: 'CE%201', id: 'same' });
    const headers = Object.fromEntries(
      Object.entries(attributes).map(([name, value]) => [`ce-${name}`, String(value)]),
    );
    const binary = await post('records', data, headers);
    expect(binary.json()).toMatchObject({ accepted: 1 });
    expect(await sumOf('CE1')).toMatchObject([{ total_price: '0.75', total_used: '21', records: 3 }]);
    expect(await sumOf('CE%201')).toMatchObject([{ subscription_id: 'CE 1', records: 1 }]);
  });

  test.each([
    [{ specversion: '0.3' }, '/specversion'],
    [{ subject: undefined }, '/subject'],
    [{ time: undefined }, '/time'],
    [{ source: 'a b' }, '/source'],
    [{ id: '' }, '/id'],
    [{ data: 'text' }, '/data'],
    [{ data: { usage_type: 'data', used: 1, price: '1', record_id: 'x' } }, '/data'],
    [{ data_base64: 'e30=' }, '/data'],
    [{ datacontenttype: 'text/xml' }, '/data'],
    [{ time: 'yesterday' }, '/used_at'],
    [{ data: { usage_type: 'data', used: -1, price: '1' } }, '/used'],
  ])('are refused with %j, alone and among others', async (fault, pointer) => {
    const alone = await post('records', event(fault), structured);
    expect([alone.statusCode, alone.json().code]).toEqual([400, 'invalid_input']);
    expect(alone.json().detail).toContain(`${pointer}:`);
    const among = await post('records', [event({ subject: 'CE2' }), event(fault)], batched);
    expect(among.json()).toMatchObject({ accepted: 1, rejected: [{ line: 2, code: 'invalid_input' }] });
    expect(among.json().rejected[0].detail).toContain(`${pointer}:`);
  });

  test('are taken for usage only', async () => {
    const answer = await fastify.inject({
      method: 'POST',
      url: '/api/v1/usage/subscriptions',
      headers: structured,
      payload: JSON.stringify(event()),
    });
    expect(answer.statusCode).toBe(415);
    expect((await post('records', event(), batched)).statusCode).toBe(400);
  });
});

test('each call needs its scope', async () => {
  const reading = await secured.key('usage:read');
  const writing = await secured.key('usage:write');
  const status = async (method: 'GET' | 'POST' | 'PUT', url: string, key: string | null) =>
    (
      await secured.server.fastify.inject({
        method,
        url: `/api/v1/usage/${url}`,
        headers: { 'content-type': 'application/json', ...(key === null ? {} : { authorization: `Bearer ${key}` }) },
        ...(method === 'GET' ? {} : { payload: '{}' }),
      })
    ).statusCode;
  for (const url of ['over-limit?price_limit=1', `metrics?${month}`, 'status', 'types', 'subscriptions']) {
    expect([
      url,
      await status('GET', url, reading),
      await status('GET', url, writing),
      await status('GET', url, null),
    ]).toEqual([url, 200, 403, 401]);
  }
  expect(await status('GET', 'batches/1', reading)).toBe(404);
  for (const url of ['types', 'subscriptions']) expect(await status('POST', url, reading)).toBe(403);
  expect(await status('PUT', 'subscriptions/x', reading)).toBe(403);
  expect(await status('PUT', 'subscriptions/x', writing)).toBe(201);
});
