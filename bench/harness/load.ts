import autocannon from 'autocannon';

export interface LoadOptions {
  readonly url: string;
  readonly connections: number;
  readonly seconds: number;
  /** The requests, sent one after another by each connection, from another place in the list each. */
  readonly paths?: readonly string[];
  /** POSTs whose bodies may be sent again, from another place in the list each. */
  readonly repeatable?: { readonly path: string; readonly bodies: readonly string[] };
  /** What each POST sends, never the same twice. */
  readonly post?: () => Posted;
  /** GETs drawn beforehand, cut into a stretch for each connection: a long draw that every connection repeated whole would cost the sender more than the server. */
  readonly drawn?: readonly DrawnRequest[];
  /** The one status that counts as an answer; left out = any of success. */
  readonly status?: 304;
}

export interface Posted {
  readonly path: string;
  readonly body: string;
}

export interface DrawnRequest {
  readonly path: string;
  readonly headers?: Record<string, string>;
}

export interface LoadResult {
  readonly perSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

/** Sends requests as fast as they are answered. @throws Error when any answer is no success: a rate of errors is no rate */
export async function load(options: LoadOptions): Promise<LoadResult> {
  const { url, connections, seconds, drawn, status } = options;
  let connection = 0;
  const result = await autocannon({
    url,
    connections,
    duration: seconds,
    // It ends with a sample; one a second would make two seconds of one.
    sampleInt: 100,
    ...(drawn === undefined
      ? { requests: requestsOf(options) }
      : { setupClient: (client) => client.setRequests(stretch(drawn, connection++, connections)) }),
  });
  const { non2xx, errors, timeouts, requests } = result;
  const refusals = status === 304 ? requests.total - result['3xx'] : non2xx;
  if (refusals + errors + timeouts > 0) {
    throw new Error(
      `${url}: ${requests.total} answers, ${refusals} of them not what was asked for, ${errors} broken connections, ${timeouts} time-outs`,
    );
  }
  return { perSecond: result.requests.total / result.duration, p50Ms: result.latency.p50, p99Ms: result.latency.p99 };
}

/** The requests of one connection of so many: equal stretches, in the order of the draw. */
const stretch = (drawn: readonly DrawnRequest[], at: number, of: number): autocannon.Request[] => {
  const length = Math.floor(drawn.length / of);
  return drawn.slice(at * length, (at + 1) * length).map((request) => ({ method: 'GET', ...request }));
};

const json = { 'content-type': 'application/json' };

function requestsOf({ paths = [], post, repeatable }: LoadOptions): autocannon.Request[] {
  if (post !== undefined) {
    return [{ method: 'POST', headers: json, setupRequest: (request) => ({ ...request, ...post() }) }];
  }
  if (repeatable !== undefined) {
    const { path, bodies } = repeatable;
    return shuffled(bodies).map((body) => ({ method: 'POST', path, headers: json, body }));
  }
  return shuffled(paths).map((path) => ({ method: 'GET', path }));
}

function shuffled<T>(items: readonly T[]): T[] {
  return items
    .map((item) => ({ item, at: Math.random() }))
    .sort((a, b) => a.at - b.at)
    .map(({ item }) => item);
}
