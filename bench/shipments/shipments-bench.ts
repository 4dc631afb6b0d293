import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { acquireEmbedded } from '../../server/src/storage/embedded/embedded-postgres.ts';
import { migrate } from '../../server/src/storage/migrator.ts';
import { runCommand } from '../harness/command.ts';
import { alone, type Figures } from '../report.ts';
import type { Scale } from '../scale.ts';
import { floorFigures } from './floor.ts';
import { herdFigures } from './herd.ts';
import { importFigures } from './import.ts';
import { lookUpFigures } from './look-ups.ts';
import { from, seed, to } from './population.ts';
import { shipmentsScales } from './scale.ts';

/** Everything on one embedded PostgreSQL with its standard settings (fsync on), in a folder that is removed afterwards. */
export async function shipmentsBench(scaleName: Scale, log: (line: string) => void): Promise<Figures> {
  const scale = shipmentsScales[scaleName];
  const dir = await mkdtemp(join(tmpdir(), 'milliard-bench-'));
  const dataDir = join(dir, 'data');
  const embedded = await acquireEmbedded({ dataDir, purpose: 'bench' });
  try {
    await migrate({ url: embedded.url });
    const count = scale.shipments.toLocaleString('en');
    log(`generating ${count} shipments`);
    const generate = ['shipments', 'generate', '--count', String(scale.shipments), '--seed', String(seed)];
    const generated = await runCommand([...generate, '--from', from, '--to', to, '--json', '--data-dir', dataDir]);
    log('importing a file');
    const imported = await importFigures(dataDir, dir, scale);
    log('looking up');
    const { figures, paths } = await lookUpFigures(dataDir, scale, log);
    log('a herd on a cold key');
    const herd = await herdFigures(dataDir, scale);
    log('1,000 requests a second');
    const floor = await floorFigures(dataDir, paths, scale);
    return {
      ...figures,
      ...herd,
      ...imported,
      generate: alone(scale.shipments / generated.seconds, { unit: 'shipments/s, whole process' }),
      ...floor,
    };
  } finally {
    await embedded.release();
    await rm(dir, { recursive: true, force: true });
  }
}
