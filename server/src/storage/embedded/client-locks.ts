import { randomBytes } from 'node:crypto';
import { readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { systemCode } from './embedded-error.ts';
import { parseIdentity } from './folder-mutex.ts';
import { isAlive, ownIdentity } from './process-identity.ts';

/** A process that uses the embedded PostgreSQL of a data folder. */
export interface EmbeddedClient {
  readonly pid: number;
  /** What for, in the words of the command line: "dev", "orders import". */
  readonly purpose: string;
  /** Since when, epoch milliseconds. */
  readonly since: number;
}

/** Writes this process's hold as one file and returns its path. A process may hold a folder several times. */
export async function addClient(folder: string, purpose: string): Promise<string> {
  const identity = await ownIdentity();
  const unique = `${identity.pid}-${randomBytes(6).toString('hex')}`;
  const draft = join(folder, `draft-${unique}`);
  await writeFile(draft, JSON.stringify({ ...identity, purpose, since: Date.now() }), { mode: 0o644 });
  const path = join(folder, `client-${unique}`);
  await rename(draft, path);
  return path;
}

/** Gives a hold up; nothing happens when it is gone already. */
export async function removeClient(path: string): Promise<void> {
  await rm(path, { force: true });
}

/** The living clients, oldest first. Reads only. */
export async function listClients(folder: string): Promise<EmbeddedClient[]> {
  const clients: EmbeddedClient[] = [];
  for (const name of await namesIn(folder)) {
    const client = name.startsWith('client-') ? await findLiving(join(folder, name)) : null;
    if (client !== null) clients.push(client);
  }
  return clients.sort((a, b) => a.since - b.since || a.pid - b.pid);
}

/** Removes what killed processes left: their holds and half-written files. Dead stays dead, so this needs no lock. */
export async function sweepDeadClients(folder: string): Promise<void> {
  for (const name of await namesIn(folder)) {
    if (!name.startsWith('client-') && !name.startsWith('draft-')) continue;
    const path = join(folder, name);
    // A draft is read before it is finished at times; its name has the pid, and the pid alone decides then.
    const pid = Number(name.split('-')[1]);
    const dead = name.startsWith('client-')
      ? (await findLiving(path)) === null
      : !(await isAlive({ pid, startToken: 'unknown' }));
    if (dead) await rm(path, { force: true });
  }
}

async function findLiving(path: string): Promise<EmbeddedClient | null> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return null;
    throw error;
  }
  const identity = parseIdentity(text);
  if (identity === null || !(await isAlive(identity))) return null;
  const { purpose, since }: { purpose?: unknown; since?: unknown } = JSON.parse(text);
  return { pid: identity.pid, purpose: String(purpose ?? ''), since: Number(since ?? 0) };
}

async function namesIn(folder: string): Promise<string[]> {
  try {
    return await readdir(folder);
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return [];
    throw error;
  }
}
