import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { accessSync, constants, mkdtempSync, rmSync } from 'node:fs';
import { createConnection } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { freePort } from './free-port.ts';
import { watchServer } from './watchdog.ts';

/** redis-server of this machine: MILLIARD_TEST_REDIS_SERVER, else Debian's. */
export function findRedisServer(): string | null {
  const program = process.env['MILLIARD_TEST_REDIS_SERVER'] ?? '/usr/bin/redis-server';
  try {
    accessSync(program, constants.X_OK);
    return program;
  } catch {
    return null;
  }
}

export interface RedisServer {
  readonly url: string;
  readonly port: number;
  readonly pid: number;
  /** Ends it at once, with SIGKILL. */
  kill(): Promise<void>;
  stop(): Promise<void>;
}

/** Starts a throw-away Redis that keeps nothing, on the given or any free port. @throws Error with its own words when it does not start */
export async function startRedisServer(program: string, given?: number): Promise<RedisServer> {
  const dir = mkdtempSync(join(tmpdir(), 'milliard-redis-'));
  const port = given ?? (await freePort());
  const pidFile = join(dir, 'redis.pid');
  const settings = { port, bind: '127.0.0.1', dir, pidfile: pidFile, save: '', appendonly: 'no' };
  const args = Object.entries(settings).flatMap(([name, value]) => [`--${name}`, String(value)]);
  const child = spawn(program, args, { cwd: '/', detached: true, stdio: ['ignore', 'pipe', 'pipe'] });
  let said = '';
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (chunk) => {
      said = (said + chunk).slice(-4_000);
    });
  const ended = once(child, 'exit');
  while (!(await answers(port))) {
    if (child.exitCode !== null) {
      rmSync(dir, { recursive: true, force: true });
      throw new Error(`redis-server does not start: ${said}`);
    }
    await delay(10);
  }
  const stop = watchServer(dir, pidFile);
  return {
    url: `redis://127.0.0.1:${port}`,
    port,
    pid: child.pid ?? 0,
    async kill() {
      child.kill('SIGKILL');
      await ended;
      // It could not remove it, and the watchdog waits for that.
      rmSync(pidFile, { force: true });
      await stop();
    },
    async stop() {
      await stop();
      await ended;
    },
  };
}

async function answers(port: number): Promise<boolean> {
  const socket = createConnection(port, '127.0.0.1');
  try {
    await once(socket, 'connect');
    socket.write('PING\r\n');
    const [answer] = (await once(socket, 'data')) as [Buffer];
    return answer.toString().startsWith('+PONG');
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}
