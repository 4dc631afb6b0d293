import { describe, expect, test } from 'vitest';
import { openTestApi } from '../testing/test-api.ts';
import { shipmentInconsistencies } from '../testing/test-shipments.ts';
import { recordedEventSchema, shipmentSchema } from './shipment-representation.ts';

const { server, app, rowCounts } = await openTestApi();
const { fastify } = server;

let numbers = 0;
const unique = (prefix = 'TN') => `${prefix}${++numbers}`;
const post = (url: string, payload: unknown, headers: Record<string, string> = {}) =>
  fastify.inject({
    method: 'POST',
    url,
    headers: { 'content-type': 'application/json', ...headers },
    payload: JSON.stringify(payload),
  });
const shipment = (more: object = {}) => ({
  carrier: 'DHL',
  tracking_number: unique(),
  sender_address: 'Street 1, 10115 Berlin, Germany',
  receiver: { address: 'Street 10, 75001 Paris, France' },
  articles: [{ sku: 'LP123', name: 'Laptop', quantity: 1, unit_price: 80_000 }],
  ...more,
});
const create = async (more: object = {}) => {
  const answer = await post('/api/v1/shipments', shipment(more));
  expect(answer.statusCode, answer.body).toBe(201);
  return answer.json();
};
const urlOf = ({ carrier, tracking_number }: { carrier: string; tracking_number: string }) =>
  `/api/v1/shipments/${encodeURIComponent(carrier)}/${encodeURIComponent(tracking_number)}`;
const read = async (of: { carrier: string; tracking_number: string }) => (await fastify.inject(urlOf(of))).json();
const report = async (of: { carrier: string; tracking_number: string }, event: object) =>
  post(`${urlOf(of)}/events`, event);
const hoursAgo = (hours: number) => new Date(Date.now() - hours * 3_600_000).toISOString();

describe('POST /api/v1/shipments', () => {
  test('answers 201 with the shipment, its Location and its ETag', async () => {
    const number = unique();
    const answer = await post(
      '/api/v1/shipments',
      shipment({ tracking_number: number, currency: 'USD', expected_on: '2030-01-02' }),
    );
    expect(answer.statusCode).toBe(201);
    const document = answer.json();
    expect(shipmentSchema.strict().parse(document)).toEqual(document);
    expect(document).toMatchObject({
      carrier: 'DHL',
      tracking_number: number,
      status: 'pre_transit',
      status_at: null,
      decided_by: null,
      expected_on: '2030-01-02',
      order_id: null,
      sender: { address: 'Street 1, 10115 Berlin, Germany', city: 'Berlin', postal_code: '10115', country: 'DE' },
      receiver: { city: 'Paris', country: 'FR' },
      currency: 'USD',
      articles: [{ sku: 'LP123', name: 'Laptop', quantity: 1, unit_price: 80_000 }],
      events: [],
      attention: [],
      version: 1,
    });
    expect(answer.headers).toMatchObject({
      location: `/api/v1/shipments/DHL/${number}`,
      etag: '"v1"',
      'content-type': 'application/json; charset=utf-8',
      'cache-control': 'no-store',
      'x-content-type-options': 'nosniff',
    });
    expect((await fastify.inject(String(answer.headers.location))).json()).toEqual(document);
  });

  test('recognises the same shipment sent again, in another spelling of its names too; another content is refused', async () => {
    const body = shipment({ tracking_number: 'Tn 77-00 1' });
    const first = await post('/api/v1/shipments', body);
    const before = await rowCounts();
    for (const again of [body, { ...body, tracking_number: 'TN77001', carrier: 'dhl' }]) {
      const second = await post('/api/v1/shipments', again);
      expect(second.statusCode, second.body).toBe(201);
      expect(second.headers['idempotent-replayed']).toBe('true');
      expect(second.json()).toEqual(first.json());
    }
    expect(first.headers['idempotent-replayed']).toBeUndefined();
    const other = await post('/api/v1/shipments', { ...body, expected_on: '2030-01-01' });
    expect([other.statusCode, other.json().code]).toEqual([422, 'shipment_key_reused']);
    expect(await rowCounts()).toEqual(before);
  });

  test('sent by twenty at once is one shipment', async () => {
    const body = shipment();
    const answers = await Promise.all(Array.from({ length: 20 }, () => post('/api/v1/shipments', body)));
    expect(answers.map(({ statusCode }) => statusCode)).toEqual(answers.map(() => 201));
    expect(answers.filter(({ headers }) => headers['idempotent-replayed'] === undefined)).toHaveLength(1);
  });

  test('keeps the same number at two carriers apart, and leading zeros', async () => {
    const number = `00${unique()}`;
    await create({ tracking_number: number });
    await create({ tracking_number: number, carrier: 'UPS' });
    await create({ tracking_number: number.slice(1) });
    expect((await fastify.inject(`/api/v1/shipments/count?tracking_number=${number}`)).json()).toEqual({
      count: 2,
      precision: 'exact',
    });
  });

  test('takes names that a URL must escape, and its Location finds them', async () => {
    const answer = await post('/api/v1/shipments', shipment({ carrier: 'A/S Færge?', tracking_number: '№ 5/7%41 #é' }));
    expect(answer.statusCode, answer.body).toBe(201);
    const found = await fastify.inject(String(answer.headers.location));
    expect(found.json()).toEqual(answer.json());
  });
});

describe('GET /api/v1/shipments/{carrier}/{tracking_number}', () => {
  test.each([
    'DHL/TNSPELL1',
    'dhl/tnspell1',
    'd-h-l/tn%20spell-1',
    '%20DHL%20/TN%E2%80%93SPELL%C2%A01',
    'DHL/TNSPELL1/',
  ])('finds a shipment by any spelling, as %s', async (path) => {
    await post('/api/v1/shipments', shipment({ tracking_number: 'TN SPELL-1' }));
    const answer = await fastify.inject(`/api/v1/shipments/${path}`);
    expect(answer.statusCode, answer.body).toBe(200);
    expect(answer.json()).toMatchObject({ carrier: 'DHL', tracking_number: 'TN SPELL-1' });
  });

  test('answers a wrong pair with 404, whichever of the two is wrong', async () => {
    const { tracking_number: number } = await create();
    for (const path of [`UPS/${number}`, `DHL/${number}0`, 'UPS/none', `DHL/0${number}`]) {
      const answer = await fastify.inject(`/api/v1/shipments/${path}`);
      expect([answer.statusCode, answer.json().code]).toEqual([404, 'shipment_not_found']);
      expect(answer.headers['content-type']).toMatch(/^application\/problem\+json/);
      expect(answer.headers.etag).toBeUndefined();
    }
  });

  test('answers 304 without a body while nothing changed, and the whole shipment once it did', async () => {
    const of = await create();
    const url = urlOf(of);
    const first = await fastify.inject(url);
    const { etag } = first.headers;
    expect(first.headers).toMatchObject({ etag: '"v1"', 'cache-control': 'private, no-cache' });
    for (const tag of [etag, `W/${etag}`, `"v0", ${etag}`, '*']) {
      const same = await fastify.inject({ url, headers: { 'if-none-match': String(tag) } });
      expect([same.statusCode, same.body, same.headers.etag]).toEqual([304, '', etag]);
      expect(same.headers['content-type']).toBeUndefined();
    }
    await report(of, { code: 'in-transit', occurred_at: hoursAgo(1) });
    const changed = await fastify.inject({ url, headers: { 'if-none-match': String(etag) } });
    expect([changed.statusCode, changed.headers.etag]).toEqual([200, '"v2"']);
    expect(changed.json()).toMatchObject({ status: 'in_transit', version: 2 });
  });

  test('says why a shipment needs attention', async () => {
    const late = await create({
      expected_on: '2020-01-01',
      events: [{ code: 'in-transit', occurred_at: hoursAgo(24 * 20) }],
    });
    expect(late.attention).toEqual(['silent', 'late']);
    const answer = await fastify.inject(urlOf(late));
    expect([answer.json().attention, answer.headers.etag]).toEqual([['silent', 'late'], '"v1-silent-late"']);
  });
});

describe('POST /api/v1/shipments/{carrier}/{tracking_number}/events', () => {
  test('records what happened and says what the shipment is now', async () => {
    const of = await create();
    const occurredAt = hoursAgo(2);
    const answer = await report(of, {
      code: 'Out for delivery',
      occurred_at: occurredAt,
      description: 'On the van',
      city: 'Paris',
      country: 'France',
    });
    expect(answer.statusCode, answer.body).toBe(201);
    expect(answer.headers.etag).toBe('"v2"');
    const document = answer.json();
    expect(recordedEventSchema.strict().parse(document)).toEqual(document);
    expect(document).toMatchObject({ outcome: 'recorded', event_seq: 1, status: 'out_for_delivery', version: 2 });
    const { events, ...now } = await read(of);
    expect(events).toEqual([
      {
        seq: 1,
        code: 'Out for delivery',
        status: 'out_for_delivery',
        occurred_at: occurredAt,
        recorded_at: expect.stringMatching(/Z$/),
        description: 'On the van',
        city: 'Paris',
        country: 'FR',
        actor: 'dev',
      },
    ]);
    expect(now.decided_by).toEqual({ seq: 1, code: 'Out for delivery', occurred_at: occurredAt });
  });

  test('lets the newest decide in whatever order they come', async () => {
    const of = await create();
    const outcomeOf = async (code: string, hours: number) => {
      const { outcome, status } = (await report(of, { code, occurred_at: hoursAgo(hours) })).json();
      return [outcome, status];
    };
    expect(await outcomeOf('out_for_delivery', 2)).toEqual(['recorded', 'out_for_delivery']);
    expect(await outcomeOf('in-transit', 5)).toEqual(['late', 'out_for_delivery']);
    expect(await outcomeOf('exception', 1)).toEqual(['recorded', 'exception']);
    const { events } = await read(of);
    expect(events.map(({ code, seq }: { code: string; seq: number }) => [code, seq])).toEqual([
      ['exception', 3],
      ['out_for_delivery', 1],
      ['in-transit', 2],
    ]);
  });

  test('keeps delivered until a new leg begins, and says which event decides', async () => {
    const of = await create();
    await report(of, { code: 'delivered', occurred_at: hoursAgo(5) });
    const scan = (await report(of, { code: 'in-transit', occurred_at: hoursAgo(4) })).json();
    expect(scan).toMatchObject({ outcome: 'late', status: 'delivered', decided_by: { code: 'delivered' } });
    const back = (await report(of, { code: 'returning', occurred_at: hoursAgo(3) })).json();
    expect(back).toMatchObject({ outcome: 'recorded', status: 'returning', decided_by: { code: 'returning', seq: 3 } });
  });

  test('recognises an event that was recorded before by its instant and its code', async () => {
    const of = await create();
    const event = { code: 'in-transit', occurred_at: hoursAgo(3), city: 'Leipzig' };
    const first = await report(of, event);
    const before = await rowCounts();
    const second = await report(of, event);
    expect([first.statusCode, second.statusCode]).toEqual([201, 201]);
    expect(second.headers['idempotent-replayed']).toBe('true');
    expect(second.json()).toEqual({ ...first.json(), outcome: 'replayed' });
    expect(await rowCounts()).toEqual(before);
  });

  test('keeps a word that nobody knows, and lets it displace nothing', async () => {
    const of = await create();
    await report(of, { code: 'in-transit', occurred_at: hoursAgo(3) });
    const odd = (await report(of, { code: 'sorted by the moon', occurred_at: hoursAgo(1) })).json();
    expect(odd).toMatchObject({ outcome: 'late', status: 'in_transit' });
    expect((await read(of)).events[0]).toMatchObject({ code: 'sorted by the moon', status: 'unknown' });
  });

  test('refuses what is ahead of time, and events of no shipment', async () => {
    const of = await create();
    const ahead = await report(of, { code: 'delivered', occurred_at: hoursAgo(-1) });
    expect([ahead.statusCode, ahead.json().code]).toEqual([422, 'occurred_at_in_future']);
    const none = await report({ carrier: 'UPS', tracking_number: of.tracking_number }, { code: 'delivered' });
    expect([none.statusCode, none.json().code]).toEqual([404, 'shipment_not_found']);
  });
});

test('what was written hangs together, and its group commits are measured', async () => {
  expect(await shipmentInconsistencies(app.db)).toEqual([]);
  const metrics = (await fastify.inject('/metrics')).body;
  expect(metrics).toMatch(/milliard_group_commit_rows_count\{queue="shipments"\} [1-9]/);
  expect(metrics).toMatch(/route="\/api\/v1\/shipments\/:carrier\/:tracking_number"/);
  expect(metrics).toMatch(/milliard_group_commit_queued_rows\{queue="shipment events"\} 0/);
});
