import { randomUUID } from 'node:crypto';
import { readFileSync, renameSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

const heartbeatMs = 5_000;
// A holder that is alive touches its file every 5 s; six misses mean that it was killed and its pid perhaps reused.
const staleAfterMs = 30_000;
// Between taking over a stale lock and believing it: longer than a rival needs from reading to renaming.
const settleMs = 200;

/**
 * Runs `work` while no other process of this checkout does. A lock whose holder is dead is taken over.
 * @template T
 * @param {string} path the lock file
 * @param {() => Promise<T>} work
 * @param {{ onWait?: (holderPid: number) => void }} [hooks] onWait is called once, when another process holds the lock
 * @returns {Promise<T>}
 */
export async function withFolderLock(path, work, hooks = {}) {
  const token = `${process.pid} ${randomUUID()}`;
  await acquire(path, token, hooks);
  const heartbeat = setInterval(() => touch(path), heartbeatMs).unref();
  const release = () => {
    clearInterval(heartbeat);
    if (read(path) === token) rmSync(path, { force: true });
  };
  process.once('exit', release);
  try {
    return await work();
  } finally {
    process.off('exit', release);
    release();
  }
}

async function acquire(path, token, { onWait }) {
  let waited = false;
  for (;;) {
    if (tryCreate(path, token)) return;
    const holder = read(path);
    if (holder === undefined) continue;
    if (isDead(path, holder)) {
      if (await takeOver(path, token)) return;
      continue;
    }
    if (!waited) onWait?.(pidOf(holder));
    waited = true;
    await sleep(200);
  }
}

function tryCreate(path, token) {
  try {
    writeFileSync(path, token, { flag: 'wx' });
    return true;
  } catch (error) {
    if (error.code === 'EEXIST') return false;
    throw error;
  }
}

async function takeOver(path, token) {
  const mine = `${path}.${process.pid}`;
  writeFileSync(mine, token);
  renameSync(mine, path);
  await sleep(settleMs);
  return read(path) === token;
}

function isDead(path, holder) {
  const pid = pidOf(holder);
  const ageMs = Date.now() - (statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? Date.now());
  // An empty file is a holder between create and write, or one that was killed there.
  if (Number.isNaN(pid)) return ageMs > settleMs;
  return ageMs > staleAfterMs || !isAlive(pid);
}

const pidOf = (holder) => Number.parseInt(holder, 10);

function isAlive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code === 'EPERM';
  }
}

function read(path) {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  }
}

function touch(path) {
  try {
    const now = new Date();
    utimesSync(path, now, now);
  } catch {
    // Somebody removed the file; nothing is lost but the protection.
  }
}
