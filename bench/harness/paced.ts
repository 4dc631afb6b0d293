import { Agent, request } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';

export interface PacedOptions {
  readonly url: string;
  readonly path: string;
  /** Bodies of POSTs, sent one after another. */
  readonly bodies: readonly string[];
  readonly perSecond: number;
  readonly seconds: number;
}

/**
 * How long POSTs took that arrive at a steady rate whatever becomes of those before, as people do: a rate as high as the server
 * can bear would compare shares of the processors. (autocannon sends a second's share of a rate in one burst.)
 * @returns milliseconds, one a request, ascending. @throws Error when any answer is no 200
 */
export async function paced({ url, path, bodies, perSecond, seconds }: PacedOptions): Promise<readonly number[]> {
  const agent = new Agent({ keepAlive: true });
  const startedMs = performance.now();
  const answers: Promise<number>[] = [];
  for (let sent = 0; sent < perSecond * seconds; sent++) {
    const dueMs = startedMs + (sent * 1_000) / perSecond;
    const waitMs = dueMs - performance.now();
    if (waitMs > 0) await delay(waitMs);
    const answer = post(agent, new URL(path, url), bodies[sent % bodies.length] ?? '');
    // Looked at below; a fault before that is no unhandled one.
    answer.catch(() => {});
    answers.push(answer);
  }
  const tookMs = await Promise.all(answers);
  agent.destroy();
  return tookMs.sort((a, b) => a - b);
}

const post = (agent: Agent, url: URL, body: string): Promise<number> =>
  new Promise((resolve, reject) => {
    const startedMs = performance.now();
    const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) };
    const sending = request(url, { agent, method: 'POST', headers }, (answer) => {
      answer.resume();
      answer.on('error', reject);
      answer.on('end', () => {
        if (answer.statusCode === 200) resolve(performance.now() - startedMs);
        else reject(new Error(`${url}: ${answer.statusCode}`));
      });
    });
    sending.on('error', reject);
    sending.end(body);
  });

/** @param sorted ascending */
export const percentile = (sorted: readonly number[], share: number): number =>
  sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
