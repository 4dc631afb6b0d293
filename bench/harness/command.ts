import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { builtMain, peakMemoryMb } from './processes.ts';

/** How a program ran. Times are milliseconds since it was started. */
export interface ProgramRun {
  readonly seconds: number;
  /** What it printed to stdout. */
  readonly lines: readonly { readonly atMs: number; readonly text: string }[];
  /** Its resident memory; empty where the system does not tell. */
  readonly memory: readonly { readonly atMs: number; readonly mb: number }[];
  /** The peak of it, as the system kept it. */
  readonly peakMb: number;
}

const sampleMs = 100;

/**
 * Runs a command of the built CLI to its end. @param env settings of its own
 * @throws Error with its last words when it does not end with 0
 */
export const runCommand = (args: readonly string[], env: Record<string, string> = {}): Promise<ProgramRun> =>
  runProgram([builtMain, ...args], env);

/** Runs a program of this folder in Node, TypeScript included. @throws Error as `runCommand` does */
export const runScript = (path: string, args: readonly string[]): Promise<ProgramRun> =>
  runProgram(['--import', 'tsx', path, ...args]);

async function runProgram(args: readonly string[], env: Record<string, string> = {}): Promise<ProgramRun> {
  const startedMs = performance.now();
  const sinceStart = (): number => performance.now() - startedMs;
  const child = spawn(process.execPath, args, {
    env: { ...process.env, NO_COLOR: '1', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const ended = once(child, 'close') as Promise<[number | null]>;
  const lines: { atMs: number; text: string }[] = [];
  createInterface({ input: child.stdout }).on('line', (text) => lines.push({ atMs: sinceStart(), text }));
  let stderr = '';
  child.stderr.on('data', (chunk) => {
    stderr = (stderr + chunk).slice(-2_000);
  });
  const memory: { atMs: number; mb: number }[] = [];
  let peakMb = 0;
  const sampling = setInterval(() => {
    const mb = residentMb(child.pid ?? 0);
    if (mb !== null) memory.push({ atMs: sinceStart(), mb });
    peakMb = Math.max(peakMb, peakMemoryMb(child.pid ?? 0) ?? 0);
  }, sampleMs);
  const [code] = await ended;
  clearInterval(sampling);
  const seconds = sinceStart() / 1_000;
  if (code !== 0) throw new Error(`${args.join(' ')} ended with ${code}:\n${stderr}`);
  return { seconds, lines, memory, peakMb };
}

function residentMb(pid: number): number | null {
  try {
    const kilobytes = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
    return kilobytes === undefined ? null : Number(kilobytes) / 1024;
  } catch {
    return null;
  }
}
