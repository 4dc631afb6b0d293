import { inTurns, type Workload } from '../harness/turns.ts';
import { against, type Figures, median } from '../report.ts';
import { nameOf, type Place } from './places.ts';
import type { CitusScale } from './scale.ts';

/** Something that is done to every place, and how it is judged. */
export interface Measured {
  readonly name: string;
  /** Of the value, e.g. `requests/s`. */
  readonly unit: string;
  readonly goal?: string;
  /** Is as it will be from the first time on: commands, whose process begins anew each time. */
  readonly isCold?: boolean;
  /** Makes ready what is sent to a place. @returns the work, which gives a value in the unit */
  readonly prepare: (place: Place) => Promise<Workload<number>>;
}

// Connections to the nodes, prepared statements and plans are there after the first requests.
const warmUpSeconds = 0.5;

/** Each of them over all places by turns; a ratio is the median of the ratios of the rounds. */
export async function measureAll(
  all: readonly Measured[],
  { places, scale, log }: { places: readonly Place[]; scale: CitusScale; log: (line: string) => void },
): Promise<Figures> {
  const figures: Figures = {};
  for (const measured of all) {
    const prepared = await Promise.all(
      places.map(async (place) => [nameOf(place), await measured.prepare(place)] as const),
    );
    const { rounds, seconds } = scale;
    const values = await inTurns(Object.fromEntries(prepared), {
      ...{ rounds, seconds },
      warmUpSeconds: measured.isCold === true ? null : warmUpSeconds,
    });
    log(`  ${measured.name}: ${Object.entries(values).map(tell).join('; ')} ${measured.unit}`);
    for (const place of places.filter(({ workers }) => workers > 0))
      figures[`${measured.name}_${nameOf(place)}`] = figureOf(measured, place, values);
  }
  return figures;
}

const tell = ([name, values]: [string, readonly number[]]): string =>
  `${name} ${values.map((value) => value.toPrecision(3)).join(' ')}`;

function figureOf({ unit, goal }: Measured, place: Place, values: Readonly<Record<string, readonly number[]>>) {
  const own = values[nameOf(place)] ?? [];
  const single = values['single'] ?? [];
  const ratio = median(own.map((value, round) => value / (single[round] ?? Number.NaN)));
  const nodes = place.workers === 1 ? '1 worker' : `${place.workers} workers`;
  return {
    ...against(median(own), median(single), {
      unit: `${unit}, ${nodes} (baseline: one PostgreSQL)`,
      ...(goal === undefined ? {} : { goal }),
    }),
    ratio: Number(ratio.toPrecision(3)),
  };
}
