// `npm start`: installs and builds what is missing, then becomes `milliard dev`.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { bootstrap } from './bootstrap.mjs';
import { fail, root } from './steps.mjs';

await bootstrap().catch(fail);
if (process.env.npm_lifecycle_event === 'start') stopWithParent();
const main = join(root, 'server/dist/main.js');
// In this process, not in a child: Ctrl-C, signals and the exit code are the server's own.
process.argv = [process.execPath, main, 'dev', ...process.argv.slice(2)];
await import(pathToFileURL(main).href);

/** npm cannot pass on a kill -9 of itself: without it as an ancestor, nobody would know that this server still runs. */
function stopWithParent() {
  const launchers = launcherPids();
  const watch = setInterval(() => {
    if (launcherPids() === launchers) return;
    clearInterval(watch);
    process.kill(process.pid, 'SIGTERM');
  }, 1_000);
  watch.unref();
}

// Some shells stand as a process between npm and this one, others replace themselves.
function launcherPids() {
  const { ppid } = process;
  try {
    const [, name, , grandparent] = /^\d+ \((.*)\) (\S) (\d+)/.exec(readFileSync(`/proc/${ppid}/stat`, 'utf8')) ?? [];
    return /^(sh|dash|bash)$/.test(name) ? `${ppid} ${grandparent}` : `${ppid}`;
  } catch {
    return `${ppid}`;
  }
}
