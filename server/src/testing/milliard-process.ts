import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

const main = fileURLToPath(new URL('../../dist/main.js', import.meta.url));

/** A running `milliard` process of the built product, for tests that kill it. */
export interface MilliardProcess {
  readonly pid: number;
  readonly url: string;
  /** What it printed so far, both streams. */
  output(): string;
  /** Sends the signal and waits until the process is gone. @returns its exit code, null when the signal ended it */
  stop(signal: NodeJS.Signals): Promise<number | null>;
}

export interface MilliardOptions {
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

/** A port nobody listens on at this moment. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
}

/** Starts `milliard <args>` and waits until it is ready to serve. @throws Error with its output when it ends before that */
export async function startMilliard(options: MilliardOptions, port: number): Promise<MilliardProcess> {
  const { child, server } = spawnServer(options, port);
  await untilReady(child, server.url, server.output);
  return server;
}

/** The same without the wait. */
export const beginMilliard = (options: MilliardOptions, port: number): MilliardProcess =>
  spawnServer(options, port).server;

function spawnServer({ args, env = {} }: MilliardOptions, port: number) {
  const child = spawn(process.execPath, [main, ...args, '--port', String(port)], {
    env: { ...withoutSettings(process.env), NO_COLOR: '1', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8');
    stream.on('data', (text: string) => {
      output = (output + text).slice(-20_000);
    });
  }
  const ended = once(child, 'exit');
  const server: MilliardProcess = {
    pid: child.pid ?? 0,
    url: `http://127.0.0.1:${port}`,
    output: () => output,
    async stop(signal) {
      if (child.exitCode === null && child.signalCode === null) child.kill(signal);
      await ended;
      return child.exitCode;
    },
  };
  return { child, server };
}

/** A command of the built product under way, for tests that kill it. */
export interface MilliardCommand {
  readonly pid: number;
  isRunning(): boolean;
  /** What it printed so far, both streams. */
  output(): string;
  /** Its exit code, null when a signal ended it. */
  readonly ended: Promise<number | null>;
}

/** Begins a command and does not wait. */
export function spawnMilliard({ args, env = {} }: MilliardOptions): MilliardCommand {
  const child = spawn(process.execPath, [main, ...args], {
    env: { ...withoutSettings(process.env), NO_COLOR: '1', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8');
    stream.on('data', (text: string) => {
      output = (output + text).slice(-20_000);
    });
  }
  return {
    pid: child.pid ?? 0,
    isRunning: () => child.exitCode === null && child.signalCode === null,
    output: () => output,
    ended: once(child, 'close').then(([code]) => code as number | null),
  };
}

/** Runs a command of the built product to its end. */
export async function runMilliard({
  args,
  env = {},
}: MilliardOptions): Promise<{ code: number; stdout: string; stderr: string }> {
  const child = spawn(process.execPath, [main, ...args], {
    env: { ...withoutSettings(process.env), NO_COLOR: '1', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const texts = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const) {
    child[name].setEncoding('utf8');
    child[name].on('data', (text: string) => {
      texts[name] += text;
    });
  }
  const [code] = (await once(child, 'close')) as [number | null];
  return { code: code ?? -1, ...texts };
}

async function untilReady(child: ChildProcess, url: string, output: () => string): Promise<void> {
  for (;;) {
    if (child.exitCode !== null || child.signalCode !== null) {
      throw new Error(`milliard ended before it served (exit code ${child.exitCode}):\n${output()}`);
    }
    const answer = await fetch(`${url}/readyz`).catch(() => null);
    await answer?.arrayBuffer();
    if (answer?.ok === true) return;
    await delay(25);
  }
}

const withoutSettings = (env: NodeJS.ProcessEnv): NodeJS.ProcessEnv =>
  Object.fromEntries(
    Object.entries(env).filter(
      ([name]) => !/^(MILLIARD_|DATABASE_URL$|REDIS_URL$|PG[A-Z]+$|NODE_OPTIONS$|VITEST)/.test(name),
    ),
  );
