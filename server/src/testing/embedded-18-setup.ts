import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestProject } from 'vitest/node';
import { acquireEmbedded } from '../storage/embedded/embedded-postgres.ts';
import { serveProject, testSettings } from './test-server.ts';
import { watchServer } from './watchdog.ts';

/** Vitest's global set-up of the project "db on embedded PostgreSQL 18". */
export async function setup(project: TestProject): Promise<() => Promise<void>> {
  const dataDir = mkdtempSync(join(tmpdir(), 'milliard-pg18-'));
  const { url, release } = await acquireEmbedded({ dataDir, settings: testSettings, purpose: 'tests' });
  const clean = watchServer(dataDir, join(dataDir, 'postgres', 'postmaster.pid'));
  const stop = async () => {
    await release();
    await clean();
  };
  // A URL with a user but no host is good for the driver, not for `new URL`; `?host=` names the socket either way.
  return serveProject(project, { url: url.replace('@/', '@localhost/'), stop });
}
