import type { Bucket } from '../core/bucket.ts';
import { withHost } from './coordinator.ts';
import { createDatabase, type Database, type DatabaseOptions } from './database.ts';
import type { NodeMap } from './node-map.ts';

export interface NodeWaysDeps {
  readonly nodes: NodeMap;
  /** To any node; the address is replaced. */
  readonly connection: Omit<DatabaseOptions, 'hosts' | 'pulse' | 'openSocket'>;
  /** Told when a node falls silent, and when it answers again. */
  readonly onChange: (node: string, answers: boolean) => void;
}

/** The way to one node. */
export interface NodeWay {
  readonly db: Database;
  /** To be called when it was lost under way: it is passed by until the map names it again. */
  lost(): void;
}

/** Connections straight to the nodes of a cluster, opened when they are first needed. */
export interface NodeWays {
  /** To the node that holds the bucket; null where it is not known for sure, or does not answer. */
  to(bucket: Bucket): NodeWay | null;
  databases(): readonly Database[];
  close(): Promise<void>;
}

interface OpenWay extends NodeWay {
  readonly url: string;
  isUsable(): boolean;
}

// See read-clients.ts: a node that holds the rows itself must not plan for all values.
const plannedForItsValues = { plan_cache_mode: 'force_custom_plan' };

// What is under way to a lost node may try it once more.
const retirementMs = 30_000;

export function createNodeWays(deps: NodeWaysDeps): NodeWays {
  const { nodes, connection } = deps;
  const ways = new Map<number, OpenWay>();
  const retired = new Map<OpenWay, NodeJS.Timeout>();
  const closeRetired = async (way: OpenWay): Promise<void> => {
    clearTimeout(retired.get(way));
    retired.delete(way);
    await way.db.close().catch(() => {});
  };
  const retire = (way: OpenWay): void => {
    retired.set(way, setTimeout(() => void closeRetired(way), retirementMs).unref());
  };
  const wayTo = (node: number, url: string): OpenWay => {
    const known = ways.get(node);
    if (known?.url === url) return known;
    // It has another address since a fail-over.
    if (known !== undefined) retire(known);
    const way = openWay(deps, url);
    ways.set(node, way);
    return way;
  };
  return {
    to(bucket) {
      const node = nodes.nodeOf(bucket);
      const address = nodes.addressOf(node);
      if (address === null) return null;
      const way = wayTo(node, withHost(connection.url, address));
      return way.isUsable() ? way : null;
    },
    databases: () => [...ways.values()].map(({ db }) => db),
    async close() {
      for (const way of ways.values()) retire(way);
      ways.clear();
      await Promise.all([...retired.keys()].map(closeRetired));
    },
  };
}

function openWay({ nodes, connection, onChange }: NodeWaysDeps, url: string): OpenWay {
  let answers = true;
  // How many looks at the map there had been when it was last lost.
  let lostAt = -1;
  const lost = (): void => {
    lostAt = nodes.looks();
  };
  const { host } = new URL(url);
  const db = createDatabase({
    ...connection,
    url,
    settings: { ...connection.settings, ...plannedForItsValues },
    pulse: {
      onChange(nowAnswers) {
        answers = nowAnswers;
        if (!nowAnswers) lost();
        onChange(host, nowAnswers);
      },
    },
  });
  // A lost node may come back as what it was before its standby took its place, so the map has to name it again first.
  return { url, db, lost, isUsable: () => answers && nodes.looks() > lostAt };
}
