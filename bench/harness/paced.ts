import { Agent, request as httpRequest } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';

export interface PacedOptions {
  readonly url: string;
  /** What is sent as number n, counted from 0. */
  readonly request: (n: number) => PacedRequest;
  readonly perSecond: number;
  readonly seconds: number;
}

/** A POST where there is a body, else a GET. */
export interface PacedRequest {
  readonly path: string;
  readonly body?: string;
}

/**
 * How long requests took that arrive at a steady rate whatever becomes of those before, as people do: a rate as high as the server
 * can bear would compare shares of the processors. (autocannon sends a second's share of a rate in one burst.)
 * @returns milliseconds, one a request, ascending. @throws Error when any answer is no success
 */
export async function paced({ url, request, perSecond, seconds }: PacedOptions): Promise<readonly number[]> {
  const agent = new Agent({ keepAlive: true });
  const startedMs = performance.now();
  const answers: Promise<number>[] = [];
  for (let sent = 0; sent < perSecond * seconds; sent++) {
    const dueMs = startedMs + (sent * 1_000) / perSecond;
    const waitMs = dueMs - performance.now();
    if (waitMs > 0) await delay(waitMs);
    const answer = send(agent, url, request(sent));
    // Looked at below; a fault before that is no unhandled one.
    answer.catch(() => {});
    answers.push(answer);
  }
  const tookMs = await Promise.all(answers);
  agent.destroy();
  return tookMs.sort((a, b) => a - b);
}

const send = (agent: Agent, server: string, { path, body }: PacedRequest): Promise<number> =>
  new Promise((resolve, reject) => {
    const startedMs = performance.now();
    const url = new URL(path, server);
    const options =
      body === undefined
        ? { agent }
        : {
            agent,
            method: 'POST',
            headers: { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) },
          };
    const sending = httpRequest(url, options, (answer) => {
      answer.resume();
      answer.on('error', reject);
      answer.on('end', () => {
        if (answer.statusCode === 200 || answer.statusCode === 201) resolve(performance.now() - startedMs);
        else reject(new Error(`${url}: ${answer.statusCode}`));
      });
    });
    sending.on('error', reject);
    sending.end(body);
  });

/** @param sorted ascending */
export const percentile = (sorted: readonly number[], share: number): number =>
  sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
