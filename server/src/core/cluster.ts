/** Where a node of a cluster listens. */
export interface NodeAddress {
  readonly host: string;
  readonly port: number;
}

/** Reads `db3:5432`, `[::1]:5432`; a name alone has port 5432. Null: it is none of these. */
export function parseNodeAddress(text: string): NodeAddress | null {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([A-Za-z0-9_.-]+))(?::(\d{1,5}))?$/.exec(text);
  const host = match?.[1] ?? match?.[2];
  const port = Number(match?.[3] ?? 5432);
  return host === undefined || port < 1 || port > 65_535 ? null : { host, port };
}

export const formatNodeAddress = ({ host, port }: NodeAddress): string =>
  host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;

export const isAt = (a: NodeAddress, b: NodeAddress): boolean => a.host === b.host && a.port === b.port;

/** How much more the fullest has than the mean: 1 = all alike; null = there is nothing to compare. */
export function skewOf(amounts: readonly number[]): number | null {
  const sum = amounts.reduce((total, amount) => total + amount, 0);
  return sum === 0 ? null : (Math.max(...amounts) * amounts.length) / sum;
}

/** How far moves of shards are. */
export interface MovesDone {
  readonly done: number;
  readonly total: number;
  readonly elapsedMs: number;
}

/** As long as the moves so far took, each; null before the first is done. */
export const remainingMovesMs = ({ done, total, elapsedMs }: MovesDone): number | null =>
  done === 0 ? null : (elapsedMs / done) * Math.max(0, total - done);
