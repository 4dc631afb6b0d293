import { mkdtempSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestProject } from 'vitest/node';
import { acquireEmbedded } from '../storage/embedded/embedded-postgres.ts';
import { serveProject, testSettings } from './test-server.ts';

/** Vitest's global set-up of the project "db on embedded PostgreSQL 18". */
export async function setup(project: TestProject): Promise<() => Promise<void>> {
  const dataDir = mkdtempSync(join(tmpdir(), 'milliard-pg18-'));
  const { url, release } = await acquireEmbedded({ dataDir, settings: testSettings, purpose: 'tests' });
  const stop = async () => {
    await release();
    await rm(dataDir, { recursive: true, force: true });
  };
  return serveProject(project, { url, stop });
}
