import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { runCli } from './cli/program.ts';
import { Stopped } from './cli/stopped.ts';

// One folder up from src/main.ts and from dist/main.js alike.
const packageDir = fileURLToPath(new URL('..', import.meta.url));
const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as {
  version: string;
};

const abort = new AbortController();
const stop = (message: string, exitCode: number): void => {
  // The first signal lets what is under way end properly; whoever sends a second one does not want to wait.
  if (abort.signal.aborted) process.exit(exitCode);
  abort.abort(new Stopped(message, exitCode));
};
process.on('SIGINT', () => stop('interrupted', 130));
process.on('SIGTERM', () => stop('terminated', 143));
// `milliard orders export | head` ends when head has enough.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
  if (!abort.signal.aborted) abort.abort(new Stopped('', 0));
});

process.exitCode = await runCli(process.argv.slice(2), {
  environment: process.env,
  stdin: process.stdin,
  stdout: process.stdout,
  stderr: process.stderr,
  signal: abort.signal,
  packageDir,
  version,
});
