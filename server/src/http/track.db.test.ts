import { request as httpRequest } from 'node:http';
import { describe, expect, test } from 'vitest';
import { openTestApi } from '../testing/test-api.ts';
import { trackSchema } from './track-representation.ts';

const generous = { trackRequestsPerMinute: 1_000_000 };
const { server, key } = await openTestApi({ mode: 'serve', authentication: 'required', http: generous });
const { fastify } = server;
const writer = `Bearer ${await key('shipments:write')}`;

const hoursAgo = (hours: number) => new Date(Date.now() - hours * 3_600_000).toISOString();
const post = async (url: string, payload: object) => {
  const headers = { 'content-type': 'application/json', authorization: writer };
  const answer = await fastify.inject({ method: 'POST', url, headers, payload: JSON.stringify(payload) });
  expect(answer.statusCode, answer.body).toBe(201);
  return answer.json();
};
const track = (path: string, headers: Record<string, string> = {}) =>
  fastify.inject({ url: `/api/v1/track/${path}`, headers });

const secrets = [
  'Secret Street',
  'Erika Mustermann',
  'erika@example.com',
  'Hidden Laptop',
  'SKU-4711',
  '123456',
  '0197c0b9-3e00-7a5c-9f3e-5d2f8c1b7a60',
  'Left with the neighbour',
  'signed by Max',
  'dev',
];
await post('/api/v1/shipments', {
  carrier: 'DHL',
  tracking_number: 'TN-1',
  sender: { address: 'Secret Street 1, 10115 Berlin, Germany' },
  receiver: { address: 'Erika Mustermann, erika@example.com, Secret Street 10, 75001 Paris, France' },
  order_id: '0197c0b9-3e00-7a5c-9f3e-5d2f8c1b7a60',
  expected_on: '2030-01-02',
  articles: [{ sku: 'SKU-4711', name: 'Hidden Laptop', quantity: 3, unit_price: 123_456 }],
  events: [
    { code: 'in-transit', occurred_at: hoursAgo(5), city: 'Leipzig', country: 'DE', description: 'Secret Street' },
    { code: 'signed by Max', occurred_at: hoursAgo(1), description: 'Left with the neighbour, Secret Street 12' },
  ],
});

describe('GET /api/v1/track/{carrier}/{tracking_number}', () => {
  test('says where the parcel is, in plain words and in any spelling, without a key', async () => {
    for (const path of ['DHL/TN-1', 'd-hl/tn%201']) {
      const answer = await track(path);
      expect(answer.statusCode, answer.body).toBe(200);
      const document = answer.json();
      expect(trackSchema.strict().parse(document)).toEqual(document);
      expect(document).toEqual({
        carrier: 'DHL',
        tracking_number: 'TN-1',
        status: 'in_transit',
        status_text: 'The parcel is on its way.',
        status_at: expect.stringMatching(/Z$/),
        progress: { step: 2, of: 4 },
        expected_on: '2030-01-02',
        origin: { city: 'Berlin', country: 'DE' },
        destination: { city: 'Paris', country: 'FR' },
        events: [
          {
            status: 'unknown',
            text: 'The carrier has sent news that we cannot read.',
            occurred_at: expect.stringMatching(/Z$/),
            city: null,
            country: null,
          },
          {
            status: 'in_transit',
            text: 'The parcel is on its way.',
            occurred_at: expect.stringMatching(/Z$/),
            city: 'Leipzig',
            country: 'DE',
          },
        ],
      });
    }
  });

  test('holds these members and no other, and nothing of people, prices, articles and orders', async () => {
    const answer = await track('DHL/TN-1');
    const document = answer.json();
    expect(Object.keys(document).sort()).toEqual([
      'carrier',
      'destination',
      'events',
      'expected_on',
      'origin',
      'progress',
      'status',
      'status_at',
      'status_text',
      'tracking_number',
    ]);
    for (const place of [document.origin, document.destination])
      expect(Object.keys(place).sort()).toEqual(['city', 'country']);
    for (const event of document.events)
      expect(Object.keys(event).sort()).toEqual(['city', 'country', 'occurred_at', 'status', 'text']);
    const whole = `${answer.body}${JSON.stringify(answer.headers)}`;
    for (const secret of secrets) expect(whole).not.toContain(secret);
  });

  test('gives every wrong pair the same answer, whatever is wrong with it', async () => {
    const wrong = [
      'UPS/TN-1',
      'DHL/TN-2',
      'UPS/none',
      'DHL/TN',
      `DHL/${'1'.repeat(65)}`,
      '-/-',
      'DHL/%00',
      'DHL/TN-1%25',
    ];
    const answers = await Promise.all(wrong.map((path) => track(path)));
    const told = answers.map(({ statusCode, headers, json }) => {
      const { request_id: _, instance: __, ...problem } = json();
      const { 'x-request-id': ___, date: ____, 'content-length': _____, ...rest } = headers;
      return { statusCode, problem, headers: rest };
    });
    expect(told[0]).toMatchObject({
      statusCode: 404,
      problem: { code: 'shipment_not_found', detail: 'There is no shipment of this carrier with this number.' },
      headers: { 'cache-control': 'no-store' },
    });
    for (const one of told) expect(one).toEqual(told[0]);
  });

  test('lists nothing', async () => {
    for (const path of ['', '/', '/DHL', '/DHL/', '/DHL/TN-1/events']) {
      const answer = await fastify.inject(`/api/v1/track${path}`);
      expect([answer.statusCode, answer.json().code], path).toEqual([404, 'not_found']);
    }
    expect((await track('DHL/TN-1?city=Paris')).statusCode).toBe(400);
    const posted = await fastify.inject({ method: 'POST', url: '/api/v1/track/DHL/TN-1' });
    expect([posted.statusCode, posted.headers['allow']]).toEqual([405, 'GET, HEAD']);
  });

  test('may be kept for a moment by anybody, is asked again by its ETag, and read by any page', async () => {
    const number = 'TN-304';
    await post('/api/v1/shipments', { carrier: 'DHL', tracking_number: number });
    const first = await track(`DHL/${number}`);
    expect(first.headers).toMatchObject({
      'cache-control': 'public, max-age=10',
      'access-control-allow-origin': '*',
      'x-content-type-options': 'nosniff',
      etag: '"t1"',
    });
    for (const name of Object.keys(first.headers)) expect(name).not.toMatch(/ratelimit|set-cookie/);
    const same = await track(`DHL/${number}`, { 'if-none-match': '"t1"' });
    expect([same.statusCode, same.body, same.headers['cache-control']]).toEqual([304, '', 'public, max-age=10']);
    expect(same.headers['access-control-allow-origin']).toBe('*');
    await post(`/api/v1/shipments/DHL/${number}/events`, { code: 'delivered' });
    const changed = await track(`DHL/${number}`, { 'if-none-match': '"t1"', origin: 'https://shop.example' });
    expect([changed.statusCode, changed.json().status_text]).toEqual([200, 'The parcel has been delivered.']);
    const missing = await track('DHL/none', { origin: 'https://shop.example' });
    expect([missing.statusCode, missing.headers['access-control-allow-origin']]).toEqual([404, '*']);
  });

  test('opens nothing else: shipments themselves ask for a key, and no other page may read them', async () => {
    for (const url of ['/api/v1/shipments', '/api/v1/shipments/DHL/TN-1', '/api/v1/shipments/count']) {
      const answer = await fastify.inject(url);
      expect([answer.statusCode, answer.headers['access-control-allow-origin']]).toEqual([401, undefined]);
    }
  });
});

describe('how often one address may ask', () => {
  const limit = 3;
  const http = { trackRequestsPerMinute: limit };
  interface From {
    readonly remoteAddress?: string;
    readonly forwarded?: string;
    readonly method?: 'GET' | 'HEAD';
  }
  const asker =
    (to: typeof fastify) =>
    async ({ remoteAddress = '192.0.2.1', forwarded, method = 'GET' }: From, path = 'DHL/none') => {
      const headers: Record<string, string> = forwarded === undefined ? {} : { 'x-forwarded-for': forwarded };
      return to.inject({ method, url: `/api/v1/track/${path}`, remoteAddress, headers });
    };
  const statuses = async (ask: ReturnType<typeof asker>, froms: readonly From[]) => {
    const answers: number[] = [];
    for (const from of froms) answers.push((await ask(from)).statusCode);
    return answers;
  };
  const times = (n: number, from: From) => Array.from({ length: n }, () => from);

  test('is limited, whatever it asks for and however, and it is told when it may go on', async () => {
    const { server: limited } = await openTestApi({ mode: 'serve', authentication: 'required', http });
    const ask = asker(limited.fastify);
    expect((await ask({}, 'DHL/none')).statusCode).toBe(404);
    expect((await ask({ method: 'HEAD' }, 'DHL/none')).statusCode).toBe(404);
    expect((await ask({}, 'DHL/-')).statusCode).toBe(404);
    const refused = await ask({}, 'DHL/none');
    expect(refused.statusCode).toBe(429);
    expect(refused.json()).toMatchObject({ code: 'rate_limited', status: 429, type: '/problems/rate_limited' });
    expect(Number(refused.headers['retry-after'])).toBeGreaterThan(0);
    expect(Number(refused.headers['retry-after'])).toBeLessThanOrEqual(60);
    expect(refused.headers).toMatchObject({ 'cache-control': 'no-store', 'access-control-allow-origin': '*' });
    expect((await ask({ remoteAddress: '192.0.2.2' })).statusCode).toBe(404);
    expect((await limited.fastify.inject({ url: '/healthz', remoteAddress: '192.0.2.1' })).statusCode).toBe(200);
    const keyed = await limited.fastify.inject({ url: '/api/v1/shipments', remoteAddress: '192.0.2.1' });
    expect(keyed.statusCode).toBe(401);
  });

  test('cannot be passed by saying another address, unless a trusted proxy says it', async () => {
    const { server: alone } = await openTestApi({ mode: 'serve', authentication: 'required', http });
    const spoofing = [...'abcd'].map((_, i) => ({ forwarded: `203.0.113.${i}` }));
    expect(await statuses(asker(alone.fastify), spoofing)).toEqual([404, 404, 404, 429]);

    const behind = await openTestApi({
      mode: 'serve',
      authentication: 'required',
      http: { ...http, trustProxy: ['loopback', '10.0.0.0/8'] },
    });
    const ask = asker(behind.server.fastify);
    const proxy = '10.1.2.3';
    // What the client wrote itself stands to the left of what the proxy saw.
    const chosen = [...'abcd'].map((_, i) => ({ remoteAddress: proxy, forwarded: `203.0.113.${i}, 198.51.100.7` }));
    expect(await statuses(ask, chosen)).toEqual([404, 404, 404, 429]);
    expect((await ask({ remoteAddress: proxy, forwarded: '198.51.100.8' })).statusCode).toBe(404);
    expect((await ask({ remoteAddress: proxy, forwarded: '198.51.100.7, 127.0.0.1' })).statusCode).toBe(429);
    // Somebody who is no proxy of ours cannot speak for others.
    const stranger = [...'abcd'].map((_, i) => ({ remoteAddress: '192.0.2.9', forwarded: `203.0.113.${i}` }));
    expect(await statuses(ask, stranger)).toEqual([404, 404, 404, 429]);
    for (const forwarded of ['', ',', 'unknown', '1.2.3.4:5678', '::::', 'x'.repeat(5_000)])
      expect([404, 429], forwarded).toContain((await ask({ remoteAddress: proxy, forwarded })).statusCode);
  });

  test('counts a household of IPv6 addresses as one, and an IPv4 address the same in both of its forms', async () => {
    const { server: limited } = await openTestApi({ mode: 'serve', authentication: 'required', http });
    const ask = asker(limited.fastify);
    const household = [1, 2, 3, 4].map((i) => ({ remoteAddress: `2001:db8:0:7:${i}::${i}` }));
    expect(await statuses(ask, household)).toEqual([404, 404, 404, 429]);
    expect((await ask({ remoteAddress: '2001:db8:0:8::1' })).statusCode).toBe(404);
    expect(await statuses(ask, times(limit, { remoteAddress: '::ffff:192.0.2.77' }))).toEqual([404, 404, 404]);
    expect((await ask({ remoteAddress: '192.0.2.77' })).statusCode).toBe(429);
  });

  test('is limited over real sockets too', async () => {
    const { server: limited } = await openTestApi({ mode: 'serve', authentication: 'required', http });
    const { url } = await limited.listen('127.0.0.1', 0);
    const ask = () =>
      new Promise<number | undefined>((resolve, reject) => {
        httpRequest(`${url}/api/v1/track/DHL/none`, { agent: false }, (answer) => {
          answer.resume().once('end', () => resolve(answer.statusCode));
        })
          .once('error', reject)
          .end();
      });
    const answers = [await ask(), await ask(), await ask(), await ask()];
    expect(answers).toEqual([404, 404, 404, 429]);
  });
});

test('a server for this machine only stays that: another page and another name are refused', async () => {
  const { server: local } = await openTestApi({ http: generous });
  const ask = (headers: Record<string, string>) =>
    local.fastify.inject({ url: '/api/v1/track/DHL/none', headers: { host: 'localhost', ...headers } });
  expect((await ask({})).statusCode).toBe(404);
  const page = await ask({ origin: 'https://shop.example' });
  expect([page.json().code, page.headers['access-control-allow-origin']]).toEqual(['foreign_origin', undefined]);
  expect((await ask({ host: 'milliard.example' })).json().code).toBe('foreign_host');
});
