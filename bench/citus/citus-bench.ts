import type { Figures } from '../report.ts';
import type { Scale } from '../scale.ts';
import { withPlaces } from './places.ts';
import { reads } from './reads.ts';
import { citusScales } from './scale.ts';
import { skewFigures } from './skew.ts';
import { touchedFigures } from './touched.ts';
import { measureAll } from './workloads.ts';
import { writes } from './writes.ts';

const workers = [0, 1, 2, 3];

/**
 * One PostgreSQL against Citus with one, two and three workers, of the same programs with their standard settings (fsync on), the
 * same server before each, nothing cached. On one machine that tells what Citus costs, not what it gains.
 */
export function citusBench(scaleName: Scale, log: (line: string) => void): Promise<Figures> {
  const scale = citusScales[scaleName];
  return withPlaces({ workers, scale, log }, async (places) => {
    const clusters = places.filter((place) => place.workers > 0);
    const largest = clusters.at(-1);
    if (largest === undefined) throw new Error('there is no cluster');
    const step = async (name: string, work: () => Promise<Figures>): Promise<Figures> => {
      const startedMs = performance.now();
      const figures = await work();
      log(`${name}: ${((performance.now() - startedMs) / 1_000).toFixed(1)} s`);
      return figures;
    };
    const measuring = { places, scale, log };
    const touched = await step('tasks and rows', () => touchedFigures(clusters, scale));
    for (const [name, { unit }] of Object.entries(touched)) log(`  ${name}: ${unit}`);
    return {
      ...touched,
      ...(await step('reads', () => measureAll(reads(scale), measuring))),
      ...(await step('writes', () => measureAll(writes(scale), measuring))),
      ...(await step('skew', () => skewFigures(largest, scale))),
    };
  });
}
