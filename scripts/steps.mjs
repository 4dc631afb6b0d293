import { spawn } from 'node:child_process';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The checkout's root folder. */
export const root = dirname(dirname(fileURLToPath(import.meta.url)));

/** A failure told in one sentence, without a stack. */
export class Advice extends Error {}

/** Prints a step. To stderr: what a script prints to stdout may be read by a program (`npm run bench -- --json`). */
export const report = (line) => console.error(line);

/** Seconds since `startMs` (from performance.now()) as text. */
export const since = (startMs) => `${((performance.now() - startMs) / 1000).toFixed(1)} s`;

/** Prints what keeps a script from its work (one sentence, or the stack of a fault of ours) and ends with code 1. */
export function fail(error) {
  console.error(error instanceof Advice ? `milliard: ${error.message}` : error);
  process.exit(1);
}

/**
 * Runs a command from the root and passes SIGINT, SIGTERM and SIGHUP on to it.
 * @param {string} command
 * @param {readonly string[]} args
 * @param {{ env?: NodeJS.ProcessEnv, capture?: boolean }} [options] capture collects stdout and stderr instead of printing them
 * @returns {Promise<{ code: number, signal: NodeJS.Signals | null, output: string }>} code is 128 + signal number for a child that was killed
 */
export function run(command, args, { env = process.env, capture = false } = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd: root, env, stdio: capture ? ['ignore', 'pipe', 'pipe'] : 'inherit' });
    const chunks = [];
    child.stdout?.on('data', (chunk) => chunks.push(chunk));
    child.stderr?.on('data', (chunk) => chunks.push(chunk));
    const stopForwarding = forwardSignals(child);
    child.once('error', (error) => {
      stopForwarding();
      reject(error);
    });
    child.once('close', (code, signal) => {
      stopForwarding();
      resolve({ code: code ?? 128 + SIGNALS[signal], signal, output: Buffer.concat(chunks).toString('utf8') });
    });
  });
}

const SIGNALS = { SIGHUP: 1, SIGINT: 2, SIGQUIT: 3, SIGABRT: 6, SIGKILL: 9, SIGSEGV: 11, SIGPIPE: 13, SIGTERM: 15 };

function forwardSignals(child) {
  const handlers = ['SIGINT', 'SIGTERM', 'SIGHUP'].map((signal) => [signal, () => child.kill(signal)]);
  for (const [signal, handler] of handlers) process.on(signal, handler);
  return () => {
    for (const [signal, handler] of handlers) process.off(signal, handler);
  };
}
