import type { Logger } from '../../core/ports.ts';
import { createEchoes } from './echoes.ts';
import type { Channel } from './notify-channel.ts';

/**
 * Whether this server hears what others change. A session is a time in which nothing can be missed: it begins when the line
 * is open and ends with it. That the line still works is proven by an echo: sent by the way that writes take, it comes back behind
 * everything that was committed before it was sent. What was read in a session and not announced since is as good as read
 * at the moment of the last proof.
 */
export interface ChangeFeed {
  /** The number of the session; 0 while there is none. */
  session(): number;
  /** Everything committed before this moment was heard in that session; -Infinity where nothing is known. Monotonic ms. */
  heardUntilMs(session: number): number;
  /** Asks for a proof now, or shares the one under way. Never throws: whoever needs it looks at `heardUntilMs`. */
  prove(): Promise<void>;
  /** To be called while the cache is used: opens a session where there is none, and has a proof made before the last one is old. */
  keepUp(nowMs: number): void;
  close(): void;
}

export interface ChangeFeedOptions {
  readonly channel: Channel;
  readonly logger: Logger;
  /** Monotonic ms. */
  readonly now: () => number;
  readonly onChanges: (cache: string, keys: readonly string[]) => void;
  /** A session begins. */
  readonly onSession: () => void;
}

/** A proof is renewed when it is so old, well before it no longer counts. */
const renewAfterMs = 300;
/** Between two attempts to open a line: to a database that is away, and behind one that hears nothing. */
const pauseMs = 500;
const deafPauseMs = 15_000;
const rememberedSessions = 100;

interface Line {
  readonly session: number;
  close(): void;
}

export function createChangeFeed({ channel, logger, now, onChanges, onSession }: ChangeFeedOptions): ChangeFeed {
  const echoes = createEchoes(channel);
  const heardUntil = new Map<number, number>();
  let line: Line | null = null;
  let sessions = 0;
  let isClosed = false;
  let openAfterMs = Number.NEGATIVE_INFINITY;
  let askedAtMs = Number.NEGATIVE_INFINITY;

  const open = async (): Promise<void> => {
    const session = ++sessions;
    let hasEnded = false;
    const { close } = await channel.listen({
      heard(announcement) {
        if (announcement.kind === 'changes') onChanges(announcement.cache, announcement.keys);
        else echoes.heard(announcement.echo);
      },
      ended() {
        hasEnded = true;
        if (line?.session === session) line = null;
        echoes.giveUp();
      },
    });
    if (hasEnded || isClosed) return close();
    line = { session, close };
    heardUntil.delete(session - rememberedSessions);
    onSession();
    await prove();
  };
  const ask = async (): Promise<void> => {
    const asked = line;
    if (asked === null) return;
    const atMs = now();
    askedAtMs = atMs;
    const outcome = await echoes.send();
    // The line may have been lost meanwhile; it may not prove anything for the next one.
    if (line !== asked) return;
    if (outcome === 'heard') heardUntil.set(asked.session, atMs);
    if (outcome !== 'lost') return;
    logger.warn({}, 'LISTEN hears nothing (a pooler in between?): answers are cached for a second only');
    line = null;
    openAfterMs = now() + deafPauseMs;
    asked.close();
  };
  const prove = oneAtATime(ask);
  const reopen = oneAtATime(() =>
    open().catch((error: unknown) => {
      logger.debug({ err: error }, 'the cache cannot listen to changes yet');
      openAfterMs = now() + pauseMs;
    }),
  );

  return {
    session: () => line?.session ?? 0,
    heardUntilMs: (session) => heardUntil.get(session) ?? Number.NEGATIVE_INFINITY,
    prove,
    keepUp(nowMs) {
      if (line !== null) {
        if (nowMs - askedAtMs >= renewAfterMs) void prove();
      } else if (!isClosed && nowMs >= openAfterMs) {
        void reopen();
      }
    },
    close() {
      isClosed = true;
      line?.close();
      line = null;
    },
  };
}

/** Hears nothing: for a distributed database (NOTIFY reaches one node only), and for entries that live for a moment. */
export const deafFeed: ChangeFeed = {
  session: () => 0,
  heardUntilMs: () => Number.NEGATIVE_INFINITY,
  prove: async () => {},
  keepUp() {},
  close() {},
};

/** Whoever asks while the work is being done shares it. */
function oneAtATime(work: () => Promise<void>): () => Promise<void> {
  let running: Promise<void> | null = null;
  return () => {
    running ??= work().finally(() => {
      running = null;
    });
    return running;
  };
}
