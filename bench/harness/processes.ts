import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

export const builtMain = fileURLToPath(new URL('../../server/dist/main.js', import.meta.url));

export interface Running extends AsyncDisposable {
  readonly url: string;
  readonly pid: number;
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
}

/** Starts the built server on a data folder, with settings of its own. */
export async function startServer(dataDir: string, env: Record<string, string> = {}): Promise<Running> {
  const port = await freePort();
  const args = [builtMain, 'dev', '--data-dir', dataDir, '--port', String(port), '--no-sample-data'];
  return started(
    spawn(process.execPath, args, childOptions({ MILLIARD_LOG_LEVEL: 'error', ...env })),
    `http://127.0.0.1:${port}`,
  );
}

/** Starts a TypeScript program of this folder that listens on PORT. */
export async function startProgram(path: string, args: readonly string[]): Promise<Running> {
  const port = await freePort();
  const child = spawn(process.execPath, ['--import', 'tsx', path, ...args], childOptions({ PORT: String(port) }));
  return started(child, `http://127.0.0.1:${port}`);
}

const childOptions = (env: Record<string, string>) => ({
  env: { ...process.env, NO_COLOR: '1', ...env },
  stdio: ['ignore', 'ignore', 'inherit'] as ['ignore', 'ignore', 'inherit'],
});

async function started(child: ChildProcess, url: string): Promise<Running> {
  const ended = once(child, 'exit');
  for (;;) {
    if (child.exitCode !== null) throw new Error(`${url} ended before it served`);
    const answer = await fetch(`${url}/readyz`).catch(() => null);
    await answer?.arrayBuffer();
    if (answer?.ok === true) break;
    await delay(25);
  }
  return {
    url,
    pid: child.pid ?? 0,
    async [Symbol.asyncDispose]() {
      child.kill('SIGTERM');
      await ended;
    },
  };
}

/** Peak resident memory of a running process in MB, as Linux keeps it; null elsewhere. */
export function peakMemoryMb(pid: number): number | null {
  try {
    const kilobytes = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
    return kilobytes === undefined ? null : Number(kilobytes) / 1024;
  } catch {
    return null;
  }
}
