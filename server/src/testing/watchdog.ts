import { spawn } from 'node:child_process';
import { once } from 'node:events';

// Waits until our end of stdin closes, however this process ends. Some tests stop servers (SIGSTOP): these must go on to end.
// postgres removes its pid file as the last thing it does.
const script = `
cat >/dev/null
if pid=$(head -n 1 "$2" 2>/dev/null) && kill -INT "$pid"; then
  kill -CONT "$pid" $(ps -o pid= --ppid "$pid")
  tries=300
  while [ -e "$2" ] && [ $tries -gt 0 ]; do sleep 0.1; tries=$((tries - 1)); done
fi 2>/dev/null
rm -rf "$1"
`;

/**
 * Sees to it that a throw-away PostgreSQL ends and its folder goes, after Ctrl-C and kill -9 of the tests too.
 * @param dir removed when the server has ended
 * @param pidFile the server's postmaster.pid
 * @returns ends the server, if it runs, and removes the folder
 */
export function watchServer(dir: string, pidFile: string): () => Promise<void> {
  // A session of its own: Ctrl-C and a kill of the process group must not reach it.
  const child = spawn('sh', ['-c', script, 'milliard-test-watchdog', dir, pidFile], {
    detached: true,
    cwd: '/',
    stdio: ['pipe', 'ignore', 'ignore'],
  });
  const ended = once(child, 'exit');
  return async () => {
    child.stdin?.end();
    await ended;
  };
}
