import type { Database } from './database.ts';
import { StorageError, SupersededError } from './faults.ts';
import type { NodeWay, NodeWays } from './node-ways.ts';
import { isConnectionLoss } from './retry.ts';

/**
 * A cluster by its shortest ways: what is about one bucket goes straight to the node that holds it, which answers from its own tables
 * and commits alone, and no node carries what belongs to the others (docs/scale.md has the figures).
 * Every node answers for every bucket, so an outdated map costs time and nothing else. Where the short way fails before anything was
 * committed, the statement or transaction takes the long one.
 * @param central leads to any node of the cluster; it is not closed with this one
 */
export function createRoutedDatabase(central: Database, ways: NodeWays): Database {
  return {
    ...central,
    async read(statement) {
      const way = statement.bucket === undefined ? null : ways.to(statement.bucket);
      if (way === null) return central.read(statement);
      try {
        return await way.db.read(statement);
      } catch (error) {
        if (!isBlocked(way, error)) throw error;
        return central.read(statement);
      }
    },
    async transaction(work, options = {}) {
      const way = options.near === undefined ? null : ways.to(options.near);
      if (way === null) return central.transaction(work, options);
      try {
        return await way.db.transaction(work, options);
      } catch (error) {
        const isUnknown = error instanceof StorageError && error.code === 'commit_unknown';
        if (!isBlocked(way, error) || (isUnknown && options.idempotent !== true)) throw error;
        return central.transaction(work, options).catch((second: unknown) => {
          // The second run could not find out what became of the first.
          throw isUnknown && (isConnectionLoss(second) || second instanceof SupersededError) ? error : second;
        });
      }
    },
    poolUse() {
      const uses = [central, ...ways.databases()].map((db) => db.poolUse());
      const sum = (part: 'open' | 'idle' | 'waiting') => uses.reduce((total, use) => total + use[part], 0);
      return { open: sum('open'), idle: sum('idle'), waiting: sum('waiting') };
    },
    close: () => ways.close(),
  };
}

/**
 * Whether what failed on the short way is to take the long one: the node is lost, or it has not what the map says it has (42P01: it was
 * taken out of the cluster, or was told of no move since).
 */
function isBlocked(way: NodeWay, error: unknown): boolean {
  const isUnknownThere = error instanceof StorageError && error.fault?.sqlstate === '42P01';
  if (!isConnectionLoss(error) && !isUnknownThere) return false;
  way.lost();
  return true;
}
