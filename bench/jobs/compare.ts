import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type ProgramRun, runScript } from '../harness/command.ts';
import { alone, type Figures } from '../report.ts';
import type { Scale } from '../scale.ts';
import { withBenchDatabase } from './jobs-bench.ts';
import { csvOf, type Series, svgOf } from './memory-chart.ts';
import { measureJob } from './runs.ts';
import { jobsScales } from './scale.ts';
import { makePlainTable, plainTable } from './tables.ts';

const variantScript = fileURLToPath(new URL('./compare-variant.ts', import.meta.url));
const figuresDir = fileURLToPath(new URL('../../docs/figures', import.meta.url));

/**
 * The comparison of the brief: the rows streamed or all in memory, updated in bulk or row by row; and Milliard beside them. Writes
 * the memory of each over time to docs/figures/regenerate-memory.csv and .svg.
 */
export function compareRegeneration(scaleName: Scale, log: (line: string) => void): Promise<Figures> {
  const { rows, rowByRow } = jobsScales[scaleName];
  return withBenchDatabase(async (db, dataDir, url) => {
    const figures: Figures = {};
    const series: Series[] = [];
    const add = (name: string, run: ProgramRun, measured: { rate: number; note: string }): void => {
      figures[name] = alone(measured.rate, {
        unit: `rows/s${measured.note}; peak ${run.peakMb.toFixed(0)} MB`,
      });
      series.push({ name, points: run.memory.map(({ atMs, mb }) => ({ seconds: atMs / 1_000, mb })) });
      log(`${name}: ${measured.rate.toFixed(0)} rows/s, peak ${run.peakMb.toFixed(0)} MB`);
    };
    for (const reading of ['streamed', 'memory']) {
      for (const writing of ['bulk', 'rows']) {
        await makePlainTable(db, rows);
        const limit = writing === 'bulk' ? rows : rowByRow;
        const run = await runScript(variantScript, [url, plainTable, reading, writing, String(limit)]);
        const { seconds } = JSON.parse(run.lines.at(-1)?.text ?? '{}') as { seconds: number };
        const wholeSeconds = ((seconds * rows) / limit).toFixed(0);
        const note =
          limit === rows
            ? ''
            : `, extrapolated from ${limit.toLocaleString('en')} rows: ${wholeSeconds} s for ${rows.toLocaleString('en')}`;
        add(`${reading}_${writing === 'rows' ? 'row_by_row' : writing}`, run, { rate: limit / seconds, note });
      }
    }
    await makePlainTable(db, rows);
    const job = await measureJob([
      ...['jobs', 'start', 'regenerate-uuid', '--table', plainTable, '--column', 'token', '--yes'],
      ...['--data-dir', dataDir],
    ]);
    add('milliard', job.program, { rate: rows / job.seconds, note: ', resumable, snapshot and proof included' });
    await mkdir(figuresDir, { recursive: true });
    await writeFile(join(figuresDir, 'regenerate-memory.csv'), csvOf(series));
    const title = `Resident memory while ${rows.toLocaleString('en')} tokens are regenerated`;
    await writeFile(join(figuresDir, 'regenerate-memory.svg'), svgOf(title, series));
    return figures;
  });
}
