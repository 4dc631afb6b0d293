import { readdir, readFile, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';

const KEPT_FILES = 5;

/** Removes all but the newest log files of a cluster: with files of 10 MB that bounds the log at about 50 MB. */
export async function pruneLogs(clusterDir: string): Promise<void> {
  const names = await logNames(clusterDir);
  for (const name of names.slice(0, -KEPT_FILES)) await rm(join(clusterDir, 'log', name), { force: true });
}

/** What the newest log file holds when it was written at or after a moment (epoch ms), else nothing. */
export async function logSince(clusterDir: string, sinceMs: number): Promise<string> {
  const newest = (await logNames(clusterDir)).at(-1);
  if (newest === undefined) return '';
  const path = join(clusterDir, 'log', newest);
  // File times are coarser than the clock.
  if ((await stat(path)).mtimeMs < sinceMs - 20) return '';
  return (await readFile(path, 'utf8')).slice(-20_000);
}

/** Oldest first: the names hold the time. */
async function logNames(clusterDir: string): Promise<string[]> {
  const names = await readdir(join(clusterDir, 'log')).catch(() => []);
  return names.filter((name) => /^postgresql-.*\.log$/.test(name)).sort();
}
