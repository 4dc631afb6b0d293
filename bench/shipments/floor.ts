import { readFileSync } from 'node:fs';
import { paced, percentile } from '../harness/paced.ts';
import { startServer } from '../harness/processes.ts';
import { alone, type Figures } from '../report.ts';
import type { ShipmentsScale } from './scale.ts';

const perSecond = 1_000;
const eventsPerSecond = 50;

/** Exactly the rate that the brief names, while carriers report events of the same shipments. */
export async function floorFigures(dataDir: string, paths: readonly string[], scale: ShipmentsScale): Promise<Figures> {
  await using server = await startServer(dataDir);
  const { url } = server;
  const seconds = scale.floorSeconds;
  const lookUp = (n: number) => ({ path: paths[n % paths.length] ?? '' });
  const event = (n: number) => ({
    path: `${paths[(n * 7) % paths.length]}/events`,
    body: JSON.stringify({
      code: 'in_transit',
      city: 'Leipzig',
      country: 'DE',
      description: `scan ${n} of ${process.pid}`,
    }),
  });
  await paced({ url, request: lookUp, perSecond, seconds: 1 });
  const cpuBefore = cpuSeconds(server.pid);
  const startedMs = performance.now();
  const [lookUps, events] = await Promise.all([
    paced({ url, request: lookUp, perSecond, seconds }),
    paced({ url, request: event, perSecond: eventsPerSecond, seconds }),
  ]);
  const tookSeconds = (performance.now() - startedMs) / 1_000;
  const share = ((cpuSeconds(server.pid) - cpuBefore) / tookSeconds) * 100;
  const beside = `${perSecond.toLocaleString('en')}/s for ${seconds} s beside ${eventsPerSecond} events/s`;
  return {
    floor_1000: alone(lookUps.length / tookSeconds, { unit: `requests/s held`, goal: '1,000' }),
    floor_p50: alone(percentile(lookUps, 0.5), { unit: `ms, ${beside}` }),
    floor_p99: alone(percentile(lookUps, 0.99), { unit: `ms, ${beside}` }),
    floor_cpu: alone(share, { unit: '% of one processor, the server process' }),
    floor_events_p99: alone(percentile(events, 0.99), { unit: 'ms, events written' }),
  };
}

/** The unit in which Linux counts: always 100 a second for programs. */
const ticksPerSecond = 100;

/** Processor time of a process so far; NaN where the system does not tell. */
function cpuSeconds(pid: number): number {
  try {
    // After the name in brackets: state is field 3, utime 14, stime 15.
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
      .replace(/^.*\) /s, '')
      .split(' ');
    return (Number(fields[11]) + Number(fields[12])) / ticksPerSecond;
  } catch {
    return Number.NaN;
  }
}
