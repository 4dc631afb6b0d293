import fc from 'fast-check';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { type CacheWorld, createCacheWorld, type WorldServer } from '../../testing/cache-world.ts';

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance', 'Date'] });
});
afterEach(() => {
  vi.useRealTimers();
});

const keys = ['a', 'b'];
const boundMs = 1_000;

/** The same numbers for the same seed. */
function chanceOf(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

interface Acknowledged {
  readonly key: string;
  readonly version: number;
  readonly server: WorldServer;
  readonly atMs: number;
}

/** Lets servers read and write for a while and notes each answer that is too old, and how many there were of each kind. */
async function live(world: CacheWorld, servers: readonly WorldServer[], chance: () => number) {
  const acknowledged: Acknowledged[] = [];
  const faults: string[] = [];
  const seen = { fresh: 0, stale: 0, failed: 0, writes: 0 };
  const pick = <T>(things: readonly T[]): T => things[Math.floor(chance() * things.length)] as T;

  const read = async (server: WorldServer, key: string): Promise<void> => {
    const askedMs = performance.now();
    const known = acknowledged.filter((one) => one.key === key);
    const own = Math.max(0, ...known.filter((one) => one.server === server).map(({ version }) => version));
    const old = Math.max(0, ...known.filter(({ atMs }) => askedMs - atMs > boundMs).map(({ version }) => version));
    try {
      const { value, stale } = await server.cache.read(key, () => server.load(key));
      const version = value?.version ?? 0;
      seen[stale ? 'stale' : 'fresh']++;
      if (version < own) faults.push(`${askedMs}: the writer's own server answered ${version} of ${own} for ${key}`);
      if (!stale && version < old) faults.push(`${askedMs}: answered ${version} of ${old} for ${key}`);
    } catch {
      seen.failed++;
    }
  };
  const write = async (server: WorldServer, key: string): Promise<void> => {
    try {
      const version = await server.write(key);
      seen.writes++;
      acknowledged.push({ key, version, server, atMs: performance.now() });
    } catch {}
  };

  for (let step = 0; step < 600; step++) {
    const dice = chance();
    const server = pick(servers);
    if (dice < 0.8) void read(server, pick(keys));
    else if (dice < 0.88) void write(server, pick(keys));
    else if (dice < 0.9) server.breakLine();
    else if (dice < 0.92) server.breakRedis();
    else if (dice < 0.925) world.isUp.redis = !world.isUp.redis;
    else if (dice < 0.93) world.isUp.database = false;
    else if (dice < 0.95) world.isUp.database = true;
    else if (dice < 0.96) world.saveRedis();
    else if (dice < 0.97) world.restartRedis();
    await vi.advanceTimersByTimeAsync(chance() ** 4 * 800);
  }
  world.isUp.database = true;
  world.isUp.redis = true;
  await vi.advanceTimersByTimeAsync(10_000);
  for (const server of servers) server.close();
  return { faults, seen };
}

const topologies = {
  'with LISTEN and Redis': [
    { listens: true, redis: true },
    { listens: true, redis: true },
    { listens: true, redis: false },
  ],
  'with LISTEN': [
    { listens: true, redis: false },
    { listens: true, redis: false },
  ],
  'with Redis, deaf (Citus, a pooler)': [
    { listens: false, redis: true },
    { listens: false, redis: true },
    { listens: true, redis: true },
  ],
  'with neither': [
    { listens: false, redis: false },
    { listens: false, redis: false },
  ],
};

test.each(Object.entries(topologies))(
  'whatever breaks, no server answers older than a second, and never the writer: servers %s',
  async (_, parts) => {
    const total = { fresh: 0, stale: 0, failed: 0, writes: 0 };
    await fc.assert(
      fc.asyncProperty(fc.integer(), async (seed) => {
        const chance = chanceOf(seed);
        const world = createCacheWorld(chance);
        const { faults, seen } = await live(
          world,
          parts.map((part) => world.server(part)),
          chance,
        );
        for (const kind of ['fresh', 'stale', 'failed', 'writes'] as const) total[kind] += seen[kind];
        expect(faults).toEqual([]);
      }),
      { numRuns: 40, endOnFailure: true },
    );
    // Else nothing was tried.
    expect(Math.min(total.fresh, total.stale, total.failed, total.writes)).toBeGreaterThan(50);
  },
  120_000,
);
