import { chown, mkdir, realpath, stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { systemCode } from './embedded-error.ts';
import type { Place } from './server-process.ts';
import { socketDirFor } from './socket-path.ts';

/** Makes the data folder and what belongs in it; only the owner can enter what is made here. */
export async function preparePlace(dataDir: string): Promise<Place> {
  await mkdir(resolve(dataDir), { recursive: true, mode: 0o700 });
  const place = await placeIn(await realpath(resolve(dataDir)));
  if ((await mkdir(place.locksDir, { recursive: true, mode: 0o700 })) !== undefined) {
    // Root at work in somebody's folder: what it makes there stays that person's.
    const owner = await stat(place.dataDir);
    if (owner.uid !== process.getuid?.()) await chown(place.locksDir, owner.uid, owner.gid);
  }
  return place;
}

/** The places in a data folder, or null when there is no such folder. Changes nothing. */
export async function findPlace(dataDir: string): Promise<Place | null> {
  try {
    return await placeIn(await realpath(resolve(dataDir)));
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return null;
    throw error;
  }
}

async function placeIn(dataDir: string): Promise<Place> {
  const clusterDir = join(dataDir, 'postgres');
  return {
    dataDir,
    clusterDir,
    locksDir: join(dataDir, 'locks'),
    startLog: join(dataDir, 'postgres-start.log'),
    socketDir: await socketDirFor(clusterDir),
  };
}
