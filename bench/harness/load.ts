import autocannon from 'autocannon';

export interface LoadOptions {
  readonly url: string;
  readonly connections: number;
  readonly seconds: number;
  /** The requests, sent one after another by each connection, from another place in the list each. */
  readonly paths?: readonly string[];
  /** A body for each POST, never the same one twice. */
  readonly post?: { readonly path: string; readonly body: () => string };
}

export interface LoadResult {
  readonly perSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

/** Sends requests as fast as they are answered. @throws Error when any answer is no success: a rate of errors is no rate */
export async function load({ url, connections, seconds, paths = [], post }: LoadOptions): Promise<LoadResult> {
  const result = await autocannon({
    url,
    connections,
    duration: seconds,
    requests:
      post === undefined
        ? shuffled(paths).map((path) => ({ method: 'GET' as const, path }))
        : [
            {
              method: 'POST' as const,
              path: post.path,
              headers: { 'content-type': 'application/json' },
              setupRequest: (request: autocannon.Request) => ({ ...request, body: post.body() }),
            },
          ],
  });
  const bad = result.non2xx + result.errors + result.timeouts;
  if (bad > 0) throw new Error(`${bad} of ${result.requests.total} requests to ${url} failed`);
  return { perSecond: result.requests.total / result.duration, p50Ms: result.latency.p50, p99Ms: result.latency.p99 };
}

function shuffled<T>(items: readonly T[]): T[] {
  return items
    .map((item) => ({ item, at: Math.random() }))
    .sort((a, b) => a.at - b.at)
    .map(({ item }) => item);
}
