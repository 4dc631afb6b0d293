import type { Logger } from '../../core/ports.ts';
import type { RedisClient } from './redis-client.ts';

/**
 * The connection to Redis, and from when on what is found there can be trusted. After every failure, and whenever the
 * connection or the session of the change feed begins anew, a deletion may have been lost: what was leased before is not trusted
 * any more. All commands go over one connection, in order, so what is fetched behind a deletion never sees what was deleted.
 */
export interface RedisLine {
  /** Whether it answers. While it does not, nobody asks. */
  isUp(): boolean;
  /** The first lease that is trusted: every change since was heard here and deleted there. */
  trustedFrom(): string;
  /** The same for the deletions that were asked for here, whether or not all changes were heard. */
  keptFrom(): string;
  /** Changes whenever trust ends. */
  mark(): number;
  /** A command failed, or was not even sent. */
  fail(error: unknown): void;
  /** Trust begins anew. */
  begin(): void;
  close(): void;
}

/** After a failure Redis is left alone for so long. */
const pauseMs = 500;
/** Beyond every lease. */
const never = '9000000000000000';

export function openRedisLine(redis: RedisClient, logger: Logger): RedisLine {
  let isUp = false;
  let trustedFrom = never;
  // As long as nothing was asked of it that may have been lost, all it holds is as good as it can be.
  let keptFrom = '0';
  let mark = 0;
  let timer: NodeJS.Timeout | null = null;
  let closed = false;

  const begin = async (): Promise<void> => {
    const mine = ++mark;
    trustedFrom = never;
    try {
      const [seconds, micros] = await redis.time();
      if (mine !== mark) return;
      trustedFrom = String(Number(seconds) * 1_000_000 + Number(micros) + 1);
      if (keptFrom === never) keptFrom = trustedFrom;
      if (!isUp) logger.info({}, 'Redis answers: the cache is shared');
      isUp = true;
    } catch (error) {
      if (mine === mark) fail(error);
    }
  };
  const fail = (error: unknown): void => {
    mark++;
    trustedFrom = never;
    keptFrom = never;
    if (closed) return;
    if (isUp) logger.warn({ err: error }, 'Redis does not answer: the cache works without it');
    isUp = false;
    // A connection that does not answer is given up; one that is gone is made again by the client itself.
    if (error instanceof Error && error.message.includes('timed out')) redis.disconnect(true);
    timer ??= setTimeout(() => {
      timer = null;
      if (redis.status === 'ready') void begin();
    }, pauseMs).unref();
  };
  redis.on('ready', () => void begin());
  redis.on('close', () => fail(new Error('the connection to Redis was closed')));
  redis.on('error', (error) => logger.debug({ err: error }, 'no connection to Redis'));
  if (redis.status === 'ready') void begin();

  return {
    isUp: () => isUp,
    trustedFrom: () => trustedFrom,
    keptFrom: () => keptFrom,
    mark: () => mark,
    fail,
    begin() {
      if (redis.status === 'ready') void begin();
    },
    close() {
      closed = true;
      if (timer !== null) clearTimeout(timer);
      redis.disconnect();
    },
  };
}
