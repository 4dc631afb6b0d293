import { randomBytes } from 'node:crypto';
import { link, readdir, readFile, truncate, unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { EmbeddedError, systemCode } from './embedded-error.ts';
import { isAlive, ownIdentity, type ProcessIdentity } from './process-identity.ts';

/**
 * Mutual exclusion between processes on one folder, made of files only, because Node has no flock.
 *
 * The lock is a row of files mutex-1, mutex-2, …; the one with the highest number counts. It is held while it names a
 * living process and free when it is empty (given back) or its process is dead. Taking it means to create the next
 * number with link(2), which succeeds for one process only and never shows a half-written file.
 *
 * Why numbers and not one file that is removed when stale: between "its holder is dead" and "remove it" another process
 * may have done both and hold a new lock, which would then be removed. Here nothing that counts is ever removed: the
 * highest file stays until a higher one exists, so the numbers only grow. Whoever creates a number below the highest
 * (it read the folder long ago) sees that in its second look and withdraws. A file that was judged free can never be
 * held again. So killing a process at any point leaves either a free lock or one that is judged free.
 */
export async function withFolderMutex<T>(options: FolderMutexOptions, work: () => Promise<T>): Promise<T> {
  const mine = await take(options);
  try {
    return await work();
  } finally {
    // Cutting a file to nothing needs no space, so giving back works on a full disk too.
    await truncate(mine).catch(ignoreMissing);
  }
}

export interface FolderMutexOptions {
  readonly folder: string;
  readonly timeoutMs: number;
  /** Called once when another process holds it. */
  readonly onWait?: (holderPid: number) => void;
}

const POLL_MS = 10;

async function take(options: FolderMutexOptions): Promise<string> {
  const identity = await ownIdentity();
  const draft = join(options.folder, `draft-${identity.pid}-${randomBytes(6).toString('hex')}`);
  await writeFile(draft, JSON.stringify(identity), { mode: 0o644 });
  try {
    return await takeWith(draft, options);
  } finally {
    await unlink(draft).catch(ignoreMissing);
  }
}

async function takeWith(draft: string, options: FolderMutexOptions): Promise<string> {
  const deadline = Date.now() + options.timeoutMs;
  let announced = false;
  for (;;) {
    const attempt = await tryTake(draft, options.folder);
    if (attempt.kind === 'taken') return attempt.path;
    if (attempt.kind === 'overtaken') continue;
    if (Date.now() > deadline) throw stillHeld(options, attempt.pid);
    if (!announced) options.onWait?.(attempt.pid);
    announced = true;
    await delay(POLL_MS);
  }
}

type Attempt = { kind: 'taken'; path: string } | { kind: 'overtaken' } | { kind: 'held'; pid: number };

async function tryTake(draft: string, folder: string): Promise<Attempt> {
  const top = Math.max(0, ...(await numbersIn(folder)));
  if (top > 0) {
    const holder = await holderOf(pathOf(folder, top));
    if (holder === 'removed') return { kind: 'overtaken' };
    if (holder !== null && (await isAlive(holder))) return { kind: 'held', pid: holder.pid };
  }
  const mine = top + 1;
  try {
    await link(draft, pathOf(folder, mine));
  } catch (error) {
    if (systemCode(error) === 'EEXIST') return { kind: 'overtaken' };
    throw error;
  }
  const numbers = await numbersIn(folder);
  if (Math.max(...numbers) !== mine) {
    await unlink(pathOf(folder, mine)).catch(ignoreMissing);
    return { kind: 'overtaken' };
  }
  for (const older of numbers) if (older < mine) await unlink(pathOf(folder, older)).catch(ignoreMissing);
  return { kind: 'taken', path: pathOf(folder, mine) };
}

async function numbersIn(folder: string): Promise<number[]> {
  const names = await readdir(folder);
  return names.flatMap((name) => (/^mutex-\d{1,15}$/.test(name) ? [Number(name.slice('mutex-'.length))] : []));
}

/** Who holds it: null when it was given back (or cut off by a power failure, which no process survives). */
async function holderOf(path: string): Promise<ProcessIdentity | null | 'removed'> {
  try {
    return parseIdentity(await readFile(path, 'utf8'));
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return 'removed';
    throw error;
  }
}

/** Reads what `JSON.stringify(identity)` wrote; null for anything else. */
export function parseIdentity(text: string): ProcessIdentity | null {
  try {
    const value: Partial<ProcessIdentity> | null = JSON.parse(text);
    if (typeof value?.pid !== 'number' || !Number.isSafeInteger(value.pid) || value.pid <= 0) return null;
    return typeof value.startToken === 'string' ? { pid: value.pid, startToken: value.startToken } : null;
  } catch {
    return null;
  }
}

const pathOf = (folder: string, number: number): string => join(folder, `mutex-${number}`);

function ignoreMissing(error: unknown): void {
  if (systemCode(error) !== 'ENOENT') throw error;
}

function stillHeld(options: FolderMutexOptions, pid: number): EmbeddedError {
  return new EmbeddedError(
    'busy',
    `Another process (pid ${pid}) has been starting or stopping the embedded PostgreSQL of ${options.folder} for more than ${Math.round(options.timeoutMs / 1000)} s. Wait for it, or end that process and try again.`,
  );
}
