import type { Server, ServerResponse } from 'node:http';
import { Server as NetServer, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';

/** How long each step of taking leave lasts. All 0: whoever is idle is cut off at once, as `dev` does on Ctrl-C. */
export interface DrainPeriods {
  /** /readyz says 503 and all else is as before, for balancers that ask it before they send anybody elsewhere. */
  readonly noticeMs: number;
  /**
   * Then no connection is accepted any more, kept ones are served with `Connection: close`, and those that stay idle are closed
   * after this time only. A balancer that lets go of its idle connections earlier than that never sends a request into a
   * connection that this server is closing: such a request would be lost, and nobody could tell whether it was carried out.
   */
  readonly idleMs: number;
}

export interface Drain {
  /** From the moment the server is asked to stop. */
  isDraining(): boolean;
  /** From the moment new requests are refused. */
  isClosing(): boolean;
  /** Begins to watch the connections of a server that does not listen yet. */
  watch(server: Server): void;
  /** Ends every connection, each when that costs nobody a request; requests under way get 10 s after the last step. */
  leave(): Promise<void>;
}

const requestsMs = 10_000;

/** The steps by which a server takes leave of those it serves: docs/deploy.md says what a balancer has to do with each. */
export function createDrain({ noticeMs, idleMs }: DrainPeriods): Drain {
  let phase: 'serving' | 'notice' | 'last requests' | 'closing' = 'serving';
  let watched: Server | null = null;
  const sockets = createBag<Socket>();
  const responses = createBag<ServerResponse>();
  const isLast = (): boolean => phase === 'last requests' || phase === 'closing';

  return {
    isDraining: () => phase !== 'serving',
    isClosing: () => phase === 'closing',
    watch(server) {
      watched = server;
      server.on('connection', (socket) => sockets.add(socket));
      // Before Fastify's own: its answer may be written by the time the next listener is called.
      server.prependListener('request', (_request, response) => {
        responses.add(response);
        if (isLast()) response.shouldKeepAlive = false;
      });
    },
    async leave() {
      if (watched === null) return;
      phase = 'notice';
      await delay(noticeMs);
      phase = 'last requests';
      stopListening(watched);
      for (const response of responses.all()) if (!response.headersSent) response.shouldKeepAlive = false;
      await within(idleMs, sockets.untilEmpty());
      phase = 'closing';
      watched.closeIdleConnections();
      await within(requestsMs, responses.untilEmpty());
      watched.closeAllConnections();
    },
  };
}

/** http.Server.close would close idle connections too, and at that moment a request may be on its way in one of them. */
function stopListening(server: Server): void {
  if (server.listening) NetServer.prototype.close.call(server);
}

interface Closing {
  once(event: 'close', listener: () => void): unknown;
}

/** Things that leave by themselves when they are closed. */
function createBag<T extends Closing>() {
  const all = new Set<T>();
  const waiting: (() => void)[] = [];
  return {
    add(thing: T): void {
      all.add(thing);
      thing.once('close', () => {
        all.delete(thing);
        if (all.size === 0) for (const resolve of waiting.splice(0)) resolve();
      });
    },
    all: (): Iterable<T> => all,
    untilEmpty: (): Promise<void> =>
      all.size === 0 ? Promise.resolve() : new Promise((resolve) => waiting.push(resolve)),
  };
}

async function within(ms: number, done: Promise<void>): Promise<void> {
  const late = new AbortController();
  await Promise.race([done, delay(ms, undefined, { signal: late.signal }).catch(() => {})]);
  late.abort();
}
