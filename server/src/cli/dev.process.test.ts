import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { embeddedStatus } from '../storage/embedded/embedded-postgres.ts';
import { runMilliard, startMilliard } from '../testing/milliard-process.ts';

let dataDir: string;
beforeAll(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'milliard-dev-'));
});
afterAll(() => rm(dataDir, { recursive: true, force: true }));

const start = () => startMilliard({ args: ['dev', '--data-dir', dataDir] });
const cancelledOf = async (url: string): Promise<number> => {
  const answer = await fetch(`${url}/api/v1/orders/cancelled/?page=1&limit=500`);
  return ((await answer.json()) as { items: unknown[] }).items.length;
};

test('the first start loads sample orders, prints commands that work, and Ctrl-C stops the database too', async () => {
  const server = await start();
  expect(await cancelledOf(server.url)).toBeGreaterThan(100);
  while (!server.output().includes('Ctrl-C stops it')) await delay(10);
  const history = /curl (http\S+\/history)/.exec(server.output())?.[1];
  expect(history).toBeDefined();
  const shown = (await (await fetch(history ?? '')).json()) as { items: { status: string }[] };
  expect(shown.items[0]?.status).toBe('pending');
  const track = /curl '(http\S+\/track\/DHL\/TN12345678)'/.exec(server.output())?.[1];
  const tracked = (await (await fetch(track ?? '')).json()) as { status: string };
  expect(tracked.status).toBe('in_transit');
  const lines = [...server.output().matchAll(/curl '(http[^']+)'/g)].map(([, line]) => line ?? '');
  expect(lines.length).toBeGreaterThan(3);
  for (const line of lines) expect([line, (await fetch(line)).status]).toEqual([line, 200]);
  expect(await server.stop('SIGINT')).toBe(0);
  expect((await embeddedStatus(dataDir)).state).toBe('stopped');
});

test('a killed server leaves a database that the next start takes over', async () => {
  const killed = await start();
  const cancelled = await cancelledOf(killed.url);
  await killed.stop('SIGKILL');
  expect((await embeddedStatus(dataDir)).state).toBe('running');
  const next = await start();
  expect(await cancelledOf(next.url)).toBe(cancelled);
  await next.stop('SIGTERM');
  expect((await embeddedStatus(dataDir)).state).toBe('stopped');
});

test('a command works on the data folder while a server serves from it, and leaves the database running', async () => {
  const server = await start();
  const verified = await runMilliard({ args: ['verify', 'orders', '--json', '--data-dir', dataDir] });
  expect(verified.code).toBe(0);
  expect(JSON.parse(verified.stdout.trim().split('\n').at(-1) ?? '')).toMatchObject({ differences: 0 });
  expect(await cancelledOf(server.url)).toBeGreaterThan(100);
  await server.stop('SIGTERM');
});

test('a database that was stopped comes back by itself; until then requests are told to come again', async () => {
  const server = await start();
  const pid = Number((await readFile(join(dataDir, 'postgres', 'postmaster.pid'), 'utf8')).split('\n')[0]);
  process.kill(pid, 'SIGQUIT');
  let refused = 0;
  for (let answered = false; !answered; ) {
    const answer = await fetch(`${server.url}/api/v1/orders?limit=1`);
    if (answer.status === 200) answered = refused > 0 || (await embeddedStatus(dataDir)).pid !== pid;
    else {
      expect(answer.status).toBe(503);
      expect(Number(answer.headers.get('retry-after'))).toBeGreaterThan(0);
      refused++;
    }
    await answer.arrayBuffer();
  }
  await server.stop('SIGTERM');
});

test('a taken port is told in a sentence, before anything is started', async () => {
  const other = createServer().listen(0, '127.0.0.1');
  await once(other, 'listening');
  const { port } = other.address() as AddressInfo;
  const unused = join(dataDir, 'unused');
  const { code, stderr } = await runMilliard({ args: ['dev', '--port', String(port), '--data-dir', unused] });
  other.close();
  expect(code).toBe(2);
  expect(stderr).toContain(`Port ${port} on 127.0.0.1 is taken`);
  expect((await embeddedStatus(unused)).state).toBe('absent');
});

test('serve refuses to listen to the world while there is no API key, and asks for a database of one’s own', async () => {
  const { code, stderr } = await runMilliard({ args: ['serve', '--host', '0.0.0.0'] });
  expect(code).toBe(2);
  expect(stderr).toContain('DATABASE_URL');
  const server = await start();
  const { stdout } = await runMilliard({ args: ['db', 'url', '--data-dir', dataDir] });
  const env = { DATABASE_URL: stdout.trim() };
  const refused = await runMilliard({ args: ['serve', '--host', '0.0.0.0', '--port', '0'], env });
  expect(refused.code).toBe(2);
  expect(refused.stderr).toContain('There is no API key');
  await server.stop('SIGTERM');
});
