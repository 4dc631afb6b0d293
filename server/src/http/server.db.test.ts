import { once } from 'node:events';
import { Agent, request as httpRequest } from 'node:http';
import { connect } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { openApp } from '../app.ts';
import { parseConfig } from '../config.ts';
import { silentLogger } from '../core/ports.ts';
import { openCommitCutter } from '../testing/commit-cutter.ts';
import { testDatabase } from '../testing/test-database.ts';
import { createHttpServer, type HttpServer, type HttpServerOptions } from './server.ts';

const { url: databaseUrl } = await testDatabase();

async function withServer(
  options: Partial<HttpServerOptions> & { databaseUrl?: string },
  work: (server: HttpServer, url: string) => Promise<void>,
): Promise<void> {
  const config = parseConfig({});
  const app = await openApp(config, {
    databaseUrl: options.databaseUrl ?? databaseUrl,
    logger: silentLogger,
    applicationName: 'milliard test',
  });
  const server = await createHttpServer({ mode: 'dev', authentication: 'none', ...options, app });
  try {
    const { url } = await server.listen('127.0.0.1', 0);
    await work(server, url);
  } finally {
    await server.close();
    await app.close();
  }
}

const order = { customer_id: 'C', items: [{ sku: 'S', quantity: 1, unit_price: 100 }] };
const post = (url: string, headers: Record<string, string> = {}) =>
  fetch(`${url}/api/v1/orders`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify(order),
  });

interface Answer {
  readonly status: number | undefined;
  readonly headers: Record<string, unknown>;
  readonly body: string;
}
const call = (url: string, headers: Record<string, string> = {}, agent?: Agent) =>
  new Promise<Answer>((resolve, reject) => {
    httpRequest(url, { headers, ...(agent === undefined ? {} : { agent }) }, (answer) => {
      let body = '';
      answer
        .on('data', (chunk) => (body += chunk))
        .on('end', () => resolve({ status: answer.statusCode, headers: answer.headers, body }));
    })
      .on('error', reject)
      .end();
  });

describe('a server without keys', () => {
  test('answers its own machine and no web page', async () => {
    await withServer({}, async (_server, url) => {
      expect((await post(url)).status).toBe(201);
      expect((await post(url, { origin: url })).status).toBe(201);
      const { port } = new URL(url);
      expect((await call(`${url}/healthz`, { host: `localhost:${port}` })).status).toBe(200);
      for (const host of ['evil.example', `evil.example:${port}`, '127.0.0.1:1']) {
        const answer = await call(`${url}/api/v1/orders`, { host });
        expect([answer.status, JSON.parse(answer.body).code], host).toEqual([403, 'foreign_host']);
      }
      const crossSite = await fetch(`${url}/api/v1/orders`, {
        method: 'POST',
        headers: { origin: 'http://evil.example', 'content-type': 'text/plain' },
        body: JSON.stringify(order),
      });
      expect([crossSite.status, await codeOf(crossSite)]).toEqual([403, 'foreign_origin']);
      expect(crossSite.headers.get('access-control-allow-origin')).toBeNull();
    });
  });
});

describe('a server that is being stopped', () => {
  test('says so to balancers first, and serves everybody as before', async () => {
    await withServer({ drain: { noticeMs: 1_500, idleMs: 0 } }, async (server, url) => {
      const closing = server.close();
      const ready = await call(`${url}/readyz`);
      expect([ready.status, JSON.parse(ready.body).status]).toEqual([503, 'draining']);
      const agent = new Agent({ keepAlive: true });
      const served = await call(`${url}/api/v1/orders`, {}, agent);
      expect([served.status, served.headers['connection']]).toEqual([200, 'keep-alive']);
      await closing;
      agent.destroy();
    });
  });

  test('then accepts no connection, serves kept ones for the last time, and ends when there are none', async () => {
    // Far longer than the test may take: nothing is waited for when nobody is left.
    await withServer({ drain: { noticeMs: 0, idleMs: 600_000 } }, async (server, url) => {
      const agent = new Agent({ keepAlive: true });
      expect((await call(`${url}/healthz`, {}, agent)).headers['connection']).toBe('keep-alive');
      const closing = server.close();
      await untilRefused(url);
      const last = await call(`${url}/api/v1/orders`, {}, agent);
      expect([last.status, last.headers['connection']]).toEqual([200, 'close']);
      await closing;
    });
  });

  test('closes connections that stay idle, also when asked twice', async () => {
    await withServer({ drain: { noticeMs: 0, idleMs: 50 } }, async (server, url) => {
      const socket = connect(Number(new URL(url).port), '127.0.0.1');
      await once(socket, 'connect');
      await call(`${url}/healthz`);
      await Promise.all([server.close(), server.close(), once(socket.resume(), 'close')]);
    });
  });

  test('finishes what is under way and refuses what comes after that', async () => {
    await withServer({}, async (server, url) => {
      const { port } = new URL(url);
      const body = JSON.stringify(order);
      // A request whose body is not whole yet is under way; one whose head is not whole has not come yet.
      const slow = openRaw(
        port,
        `POST /api/v1/orders HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nContent-Type: application/json\r\n`,
      );
      slow.socket.write(`Content-Length: ${body.length}\r\n\r\n${body.slice(0, 10)}`);
      const late = openRaw(port, `GET /api/v1/orders HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\n`);
      // Answered after both were received.
      await call(`${url}/healthz`);
      const closing = server.close();
      await untilRefused(url);
      late.socket.write('\r\n');
      expect(await late.told).toMatch(/^HTTP\/1.1 503.*shutting_down/s);
      slow.socket.write(body.slice(10));
      await closing;
      expect(await slow.told).toMatch(/^HTTP\/1.1 201.*connection: close/is);
    });
  });
});

async function untilRefused(url: string): Promise<void> {
  while (await call(`${url}/healthz`).then(Boolean, () => false)) await delay(5);
}

/** A connection that has sent so much; `told` is all that came back once it is closed. */
function openRaw(port: string, text: string) {
  const socket = connect(Number(port), '127.0.0.1');
  socket.write(text);
  const chunks: Buffer[] = [];
  const told = once(
    socket.on('data', (chunk) => chunks.push(chunk)),
    'close',
  ).then(() => Buffer.concat(chunks).toString());
  return { socket, told };
}

describe('a slow sender', () => {
  test('of a small body is told 408 and cut off', async () => {
    await withServer({ bodyTimeoutMs: 50 }, async (_server, url) => {
      const { port } = new URL(url);
      const socket = connect(Number(port), '127.0.0.1');
      const chunks: Buffer[] = [];
      const closed = new Promise<void>((resolve) =>
        socket.on('data', (chunk) => chunks.push(chunk)).on('close', () => resolve()),
      );
      socket.write(
        `POST /api/v1/orders HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{`,
      );
      await closed;
      expect(Buffer.concat(chunks).toString()).toContain('"code":"request_timeout"');
    });
  });

  test('of a bulk is cut off once it sends nothing, and not before', async () => {
    await withServer({ bodyTimeoutMs: 50, idleTimeoutMs: 1_500 }, async (_server, url) => {
      const { port } = new URL(url);
      const socket = connect(Number(port), '127.0.0.1');
      const closed = new Promise<void>((resolve) => socket.resume().on('close', () => resolve()));
      socket.write(
        `POST /api/v1/orders/bulk HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nContent-Type: application/x-ndjson\r\nContent-Length: 1000\r\n\r\n`,
      );
      // Far beyond both limits in sum, always within the idle time: by so much that a busy machine does not matter.
      for (let i = 0; i < 12; i++) {
        await new Promise((resolve) => setTimeout(resolve, 200));
        expect(socket.closed).toBe(false);
        socket.write(' ');
      }
      await closed;
    });
  });
});

describe('without its database', () => {
  test('the server answers 503 with Retry-After, and is not ready', async () => {
    const cutter = await openCommitCutter(databaseUrl);
    await withServer({ databaseUrl: cutter.url }, async (_server, url) => {
      expect((await post(url)).status).toBe(201);
      await cutter.close();
      const down = await post(url);
      expect([down.status, await codeOf(down), down.headers.get('retry-after')]).toEqual([
        503,
        'storage_unavailable',
        '1',
      ]);
      const listed = await fetch(`${url}/api/v1/orders`);
      expect([listed.status, await codeOf(listed)]).toEqual([503, 'storage_unavailable']);
      const bulk = await fetch(`${url}/api/v1/orders/bulk`, {
        method: 'POST',
        headers: { 'content-type': 'application/x-ndjson' },
        body: JSON.stringify(order),
      });
      expect([bulk.status, await codeOf(bulk)]).toEqual([503, 'storage_unavailable']);
      const exported = await fetch(`${url}/api/v1/orders/export`);
      expect([exported.status, await codeOf(exported)]).toEqual([503, 'storage_unavailable']);
      expect([(await fetch(`${url}/readyz`)).status, (await fetch(`${url}/healthz`)).status]).toEqual([503, 200]);
    });
  });
});

const codeOf = async (answer: Response): Promise<unknown> => ((await answer.json()) as { code: unknown }).code;
