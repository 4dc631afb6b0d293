import { once } from 'node:events';
import { Agent, createServer, type IncomingMessage, request, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { findNginx, type Nginx, startNginx } from '../testing/nginx.ts';

/** What stands behind nginx here: servers that do as a test says, and note what they were sent. */
type Behaviour = (request: IncomingMessage, response: ServerResponse) => void;
interface Backend {
  readonly server: Server;
  readonly port: number;
  readonly seen: IncomingMessage[];
  behave: Behaviour;
}

const answers =
  (status: number): Behaviour =>
  (incoming, response) => {
    incoming.resume().on('end', () => response.writeHead(status, { 'content-type': 'text/plain' }).end('told'));
  };
/** Takes the whole request, then is gone: nobody knows whether it was carried out. */
const breaksOff: Behaviour = (incoming) => {
  incoming.resume().on('end', () => incoming.socket.destroy());
};

async function openBackend(): Promise<Backend> {
  const server = createServer((incoming, response) => {
    backend.seen.push(incoming);
    backend.behave(incoming, response);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const backend: Backend = { server, port: (server.address() as AddressInfo).port, seen: [], behave: answers(200) };
  return backend;
}

let backends: readonly [Backend, Backend];
let nginx: Nginx;
const agent = new Agent({ keepAlive: true });

beforeAll(async () => {
  backends = [await openBackend(), await openBackend()];
  nginx = await startNginx(findNginx() ?? '', [backends[0].port, backends[1].port]);
});
afterEach(() => {
  for (const backend of backends) Object.assign(backend, { behave: answers(200), seen: [] });
});
afterAll(async () => {
  await nginx.stop();
  agent.destroy();
  for (const { server } of backends) {
    server.closeAllConnections();
    server.close();
  }
});

interface Call {
  readonly method?: string;
  readonly headers?: Record<string, string>;
  readonly body?: string;
}

const call = (path: string, { method = 'GET', headers = {}, body = '' }: Call = {}) =>
  new Promise<{ status: number; type: string; retryAfter: string | undefined; body: string }>((resolve, reject) => {
    request(
      `${nginx.url}${path}`,
      { method, agent, headers: { 'content-length': body.length, ...headers } },
      (answer) => {
        let text = '';
        answer
          .on('data', (chunk) => (text += chunk))
          .on('end', () => {
            const { 'content-type': type = '', 'retry-after': retryAfter } = answer.headers;
            resolve({ status: answer.statusCode ?? 0, type, retryAfter, body: text });
          });
      },
    )
      .on('error', reject)
      .end(body);
  });

const times = (): number => backends[0].seen.length + backends[1].seen.length;
const both = (behave: Behaviour): void => {
  for (const backend of backends) backend.behave = behave;
};
/** The first that is asked fails, whichever it is. */
const firstFails = (behave: Behaviour): void => {
  both((incoming, response) => (times() === 1 ? behave : answers(200))(incoming, response));
};

const keyed = { method: 'POST', headers: { 'idempotency-key': 'k' }, body: '{}' };
const unkeyed = { method: 'POST', body: '{}' };

describe('a server that fails', () => {
  test.each([
    ['GET', '/api/v1/orders', {}],
    ['POST with a key', '/api/v1/orders', keyed],
    ['POST that verifies', '/api/v1/tickets/verify', unkeyed],
    ['POST of a shipment, which is its own key', '/api/v1/shipments', unkeyed],
  ] as const)('costs no %s: the other is asked', async (_, path, what) => {
    firstFails(breaksOff);
    expect((await call(path, what)).status).toBe(200);
    expect(times()).toBe(2);
  });

  test('that says 503 costs none of these either', async () => {
    firstFails(answers(503));
    expect((await call('/api/v1/orders', keyed)).status).toBe(200);
    expect(times()).toBe(2);
  });

  test.each([
    ['without a key', '/api/v1/orders', unkeyed],
    ['with an empty key', '/api/v1/orders', { ...unkeyed, headers: { 'idempotency-key': '' } }],
    ['to jobs', '/api/v1/jobs', unkeyed],
  ] as const)('breaks a POST %s, which is not sent twice: the client is told to do so', async (_, path, what) => {
    firstFails(breaksOff);
    const answer = await call(path, what);
    expect([answer.status, answer.type, answer.retryAfter, JSON.parse(answer.body).code]).toEqual([
      503,
      'application/problem+json',
      '1',
      'no_server_answered',
    ]);
    expect(times()).toBe(1);
  });

  test('passes its own 503 on when both say so, again and again', async () => {
    both((incoming, response) => {
      incoming.resume();
      response.writeHead(503, { 'retry-after': '7' }).end('mine');
    });
    for (let n = 0; n < 5; n++)
      expect(await call('/api/v1/orders')).toMatchObject({ status: 503, retryAfter: '7', body: 'mine' });
    expect(await call('/api/v1/orders', keyed)).toMatchObject({ status: 503, body: 'mine' });
    // One without a database still knows what is in its cache.
    both(answers(200));
    expect((await call('/api/v1/orders')).status).toBe(200);
  });
});

describe('what nginx passes on', () => {
  test('the address of the client, whatever the client says of it; no word of others', async () => {
    await call('/api/v1/orders', {
      headers: { 'x-forwarded-for': '6.6.6.6', forwarded: 'for=6.6.6.6', host: 'shop.example' },
    });
    const headers = backends.flatMap(({ seen }) => seen)[0]?.headers;
    expect(headers).toMatchObject({ 'x-forwarded-for': '127.0.0.1', host: 'shop.example', via: '1.1 nginx' });
    expect(headers?.['forwarded']).toBeUndefined();
  });

  test('a bulk upload as it comes, of any size', async () => {
    const total = 4_000_000;
    let got = 0;
    both((incoming, response) => {
      incoming.on('data', (chunk: Buffer) => (got += chunk.length)).on('end', () => response.end());
    });
    const upload = request(`${nginx.url}/api/v1/orders/bulk`, { method: 'POST', agent });
    const answered = once(upload, 'response');
    upload.write(Buffer.alloc(1_000));
    while (got < 1_000) await delay(5);
    upload.end(Buffer.alloc(total - 1_000));
    const [answer] = (await answered) as [IncomingMessage];
    answer.resume();
    await once(answer, 'end');
    expect([answer.statusCode, got]).toEqual([200, total]);
  });

  test('a body that is too large for a single call is told as a problem', async () => {
    const answer = await call('/api/v1/orders', { ...unkeyed, body: 'x'.repeat(2_100_000) });
    expect([answer.status, answer.type, JSON.parse(answer.body).code]).toEqual([
      413,
      'application/problem+json',
      'body_too_large',
    ]);
    expect(times()).toBe(0);
  });

  test.each(['/api/v1/jobs/0192f000-0000-7000-8000-000000000000/events', '/api/v1/orders/export'])(
    'each line of %s at once',
    async (path) => {
      const open: ServerResponse[] = [];
      both((_incoming, response) => {
        open.push(response);
        response.writeHead(200, { 'content-type': 'text/event-stream' }).write('first\n\n');
      });
      const asked = request(`${nginx.url}${path}`, { agent }).end();
      const [answer] = (await once(asked, 'response')) as [IncomingMessage];
      const [line] = (await once(answer, 'data')) as [Buffer];
      expect(line.toString()).toBe('first\n\n');
      asked.destroy();
      // The server is told that its reader is gone.
      await once(open[0] as ServerResponse, 'close');
    },
  );

  test('neither metrics nor what looks like a token in its log', async () => {
    expect((await call('/metrics')).status).toBe(404);
    expect(times()).toBe(0);
    await call('/api/v1/tickets/0192f000-1111-4222-8333-444444444444?token=1');
    const uris = nginx.log().map(({ uri }) => uri);
    expect(uris).toContain('(looks like a token)');
    expect(uris.filter((uri) => uri.includes('4222'))).toEqual([]);
  });
});
