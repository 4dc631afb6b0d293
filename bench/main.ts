import { citusBench } from './citus/citus-bench.ts';
import { MissingTool } from './harness/missing-tool.ts';
import { compareRegeneration } from './jobs/compare.ts';
import { jobsBench } from './jobs/jobs-bench.ts';
import { ordersBench } from './orders/orders-bench.ts';
import { type Figures, tableOf } from './report.ts';
import type { Scale } from './scale.ts';
import { shipmentsBench } from './shipments/shipments-bench.ts';
import { compareAnswers } from './usage/compare.ts';
import { usageBench } from './usage/usage-bench.ts';

type Bench = (scale: Scale, log: (line: string) => void) => Promise<Figures>;

const benches: Readonly<Record<string, Bench>> = {
  orders: ordersBench,
  jobs: jobsBench,
  'jobs --compare': compareRegeneration,
  shipments: shipmentsBench,
  usage: usageBench,
  'usage --compare': compareAnswers,
  citus: citusBench,
};

const usage = `usage: npm run bench -- orders|jobs|shipments|usage|citus [--scale small|full] [--json]
       npm run bench -- jobs|usage --compare [--scale small|full] [--json]
  small (default): 100,000 orders or shipments or subscriptions, 200,000 tickets, a minute or two;  full: 5 million orders, 1 million shipments, tickets or subscriptions, much longer
  jobs --compare: ways of regenerating a column, with their memory over time, drawn into docs/figures
  usage --compare: signals, triggers and views beside the ledger
  citus: one PostgreSQL against Citus with 1, 2 and 3 workers, which it starts by itself; needs a PostgreSQL with the extension (MILLIARD_TEST_CITUS_BIN names the folder of its programs, else Debian's PostgreSQL 15). small: 40,000 orders, about five minutes;  full: 500,000`;

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
  try {
    const figures = await bench(scale, (line) => console.error(line));
    console.log(json ? JSON.stringify({ figures }) : tableOf(figures));
    return 0;
  } catch (error) {
    if (!(error instanceof MissingTool)) throw error;
    console.error(error.message);
    return 1;
  }
}

process.exitCode = await main(process.argv.slice(2));
