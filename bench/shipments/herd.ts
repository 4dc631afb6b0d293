import { startServer } from '../harness/processes.ts';
import { alone, type Figures } from '../report.ts';
import { pathOf, shipmentMaker } from './population.ts';
import type { ShipmentsScale } from './scale.ts';

const herd = 200;

/** Loads from the database that a herd of simultaneous look-ups of one key causes, which no cache holds yet; the worst of several. */
export async function herdFigures(dataDir: string, { shipments, herds }: ShipmentsScale): Promise<Figures> {
  await using server = await startServer(dataDir);
  const make = shipmentMaker(shipments);
  let worst = 0;
  for (let i = 1; i <= herds; i++) {
    const url = server.url + pathOf(make(Math.floor((i * shipments) / (herds + 1))).shipment);
    const before = await loadsOf(server.url);
    const answers = await Promise.all(Array.from({ length: herd }, () => fetch(url)));
    if (answers.some(({ status }) => status !== 200)) throw new Error(`${url}: not every answer was 200`);
    await Promise.all(answers.map((answer) => answer.arrayBuffer()));
    worst = Math.max(worst, (await loadsOf(server.url)) - before);
  }
  return { herd_loads: alone(worst, { unit: `loads for ${herd} look-ups at once, worst of ${herds}`, goal: '1' }) };
}

async function loadsOf(url: string): Promise<number> {
  const text = await (await fetch(`${url}/metrics`)).text();
  const count = /^milliard_cache_loads_total\{cache="shipments",outcome="loaded"\} (\d+)/m.exec(text)?.[1];
  return Number(count ?? 0);
}
