import { ordersBench } from './orders/orders-bench.ts';
import { type Figures, tableOf } from './report.ts';
import type { Scale } from './scale.ts';

const benches: Readonly<Record<string, (scale: Scale, log: (line: string) => void) => Promise<Figures>>> = {
  orders: ordersBench,
};

const usage = `usage: npm run bench -- ${Object.keys(benches).join('|')} [--scale small|full] [--json]
  small (default): 100,000 orders, a minute or two;  full: 5 million orders, much longer`;

async function main(args: readonly string[]): Promise<number> {
  const json = args.includes('--json');
  const at = args.indexOf('--scale');
  const scale = at === -1 ? 'small' : args[at + 1];
  const rest = args.filter((arg, i) => arg !== '--json' && i !== at && (at === -1 || i !== at + 1));
  const bench = benches[rest[0] ?? ''];
  if (bench === undefined || rest.length !== 1 || (scale !== 'small' && scale !== 'full')) {
    console.error(usage);
    return 2;
  }
  const figures = await bench(scale, (line) => console.error(line));
  console.log(json ? JSON.stringify({ figures }) : tableOf(figures));
  return 0;
}

process.exitCode = await main(process.argv.slice(2));
