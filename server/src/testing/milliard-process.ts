import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

const main = fileURLToPath(new URL('../../dist/main.js', import.meta.url));

export interface MilliardOptions {
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

/** A command of the built product under way, for tests that kill it. */
export interface MilliardCommand {
  readonly pid: number;
  readonly child: ChildProcessWithoutNullStreams;
  /** What it printed so far. */
  readonly texts: { readonly stdout: string; readonly stderr: string };
  isRunning(): boolean;
  /** The end of what it printed so far, both streams. */
  output(): string;
  /** Its exit code, null when a signal ended it. */
  readonly ended: Promise<number | null>;
}

/** Begins a command and does not wait. Its standard input is a pipe that stays open. */
export function spawnMilliard({ args, env = {} }: MilliardOptions): MilliardCommand {
  const child = spawn(process.execPath, [main, ...args], {
    env: { ...withoutSettings(process.env), NO_COLOR: '1', ...env },
  });
  // Who kills a command breaks its pipe.
  child.stdin.on('error', () => {});
  const texts = { stdout: '', stderr: '' };
  let output = '';
  for (const name of ['stdout', 'stderr'] as const) {
    child[name].setEncoding('utf8');
    child[name].on('data', (text: string) => {
      texts[name] += text;
      output = (output + text).slice(-20_000);
    });
  }
  return {
    pid: child.pid ?? 0,
    child,
    texts,
    isRunning: () => child.exitCode === null && child.signalCode === null,
    output: () => output,
    ended: once(child, 'close').then(([code]) => code as number | null),
  };
}

/** Runs a command of the built product to its end. @param options.input what it reads from its standard input */
export async function runMilliard({
  input = '',
  ...options
}: MilliardOptions & { readonly input?: string }): Promise<{ code: number; stdout: string; stderr: string }> {
  const { child, texts, ended } = spawnMilliard(options);
  child.stdin.end(input);
  return { code: (await ended) ?? -1, ...texts };
}

/** A running `milliard dev` or `serve` of the built product, for tests that kill it. */
export interface MilliardProcess {
  readonly pid: number;
  readonly url: string;
  /** What it printed so far, both streams. */
  output(): string;
  /** Sends the signal and waits until the process is gone. @returns its exit code, null when the signal ended it */
  stop(signal: NodeJS.Signals): Promise<number | null>;
}

/**
 * Starts `milliard <args>` on a port that the system chooses, so that no two can want the same, and waits until it is ready to
 * serve. @throws Error with its output when it ends before that
 */
export async function startMilliard({ args, env = {} }: MilliardOptions): Promise<MilliardProcess> {
  const command = spawnMilliard({ args: [...args, '--port', '0'], env });
  // Not its `ended`: a PostgreSQL that outlives it may hold its pipes.
  const exited = once(command.child, 'exit');
  return {
    pid: command.pid,
    url: await urlWhenReady(command),
    output: command.output,
    async stop(signal) {
      if (command.isRunning()) command.child.kill(signal);
      await exited;
      return command.child.exitCode;
    },
  };
}

async function urlWhenReady(command: MilliardCommand): Promise<string> {
  for (;;) {
    if (!command.isRunning()) {
      throw new Error(`milliard ended before it served (exit code ${command.child.exitCode}):\n${command.output()}`);
    }
    const url = /Milliard serves (http:[^\s,]+)[\s,]/.exec(command.output())?.[1];
    if (url !== undefined && (await isReady(url))) return url;
    await delay(25);
  }
}

async function isReady(url: string): Promise<boolean> {
  const answer = await fetch(`${url}/readyz`).catch(() => null);
  await answer?.arrayBuffer();
  return answer?.ok === true;
}

const withoutSettings = (env: NodeJS.ProcessEnv): NodeJS.ProcessEnv =>
  Object.fromEntries(
    Object.entries(env).filter(
      ([name]) => !/^(MILLIARD_|DATABASE_URL$|REDIS_URL$|PG[A-Z]+$|NODE_OPTIONS$|VITEST)/.test(name),
    ),
  );
