import { compareRegeneration } from './jobs/compare.ts';
import { jobsBench } from './jobs/jobs-bench.ts';
import { ordersBench } from './orders/orders-bench.ts';
import { type Figures, tableOf } from './report.ts';
import type { Scale } from './scale.ts';

type Bench = (scale: Scale, log: (line: string) => void) => Promise<Figures>;

const benches: Readonly<Record<string, Bench>> = {
  orders: ordersBench,
  jobs: jobsBench,
  'jobs --compare': compareRegeneration,
};

const usage = `usage: npm run bench -- orders|jobs [--scale small|full] [--json]
       npm run bench -- jobs --compare [--scale small|full] [--json]
  small (default): 100,000 orders or 200,000 tickets, a minute or two;  full: 5 million orders or 1 million tickets, much longer
  --compare: ways of regenerating a column, with their memory over time, drawn into docs/figures`;

async function main(args: readonly string[]): Promise<number> {
  const json = args.includes('--json');
  const at = args.indexOf('--scale');
  const scale = at === -1 ? 'small' : args[at + 1];
  const rest = args.filter((arg, i) => arg !== '--json' && i !== at && (at === -1 || i !== at + 1));
  const bench = benches[rest.join(' ')];
  if (bench === undefined || (scale !== 'small' && scale !== 'full')) {
    console.error(usage);
    return 2;
  }
  const figures = await bench(scale, (line) => console.error(line));
  console.log(json ? JSON.stringify({ figures }) : tableOf(figures));
  return 0;
}

process.exitCode = await main(process.argv.slice(2));
