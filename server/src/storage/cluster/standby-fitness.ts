import { formatNodeAddress, isAt, type NodeAddress } from '../../core/cluster.ts';
import type { FailoverPlan, FailoverRequest, LostState } from './failover.ts';

/** What the server says of itself that is to take over. */
export interface StandbyFacts {
  readonly isStandby: boolean;
  readonly isCitus: boolean;
  readonly unreplayedBytes: number;
  /** Whether it is being sent WAL at this moment. */
  readonly isStreaming: boolean;
  /** Whether its database is one of Milliard. */
  readonly isMilliard: boolean;
}

/** A place in a cluster as a server knows it. */
export interface Place extends NodeAddress {
  readonly id: number;
  readonly groupId: number;
  /** Whether the server that was asked has this place itself. */
  readonly isHere: boolean;
}

export type Verdict = { readonly fault: string } | Pick<FailoverPlan, 'role' | 'promotes' | 'redirects' | 'checks'>;

/**
 * Whether the server at `to` is a copy of the node, and what is left to be done.
 * @param places of the cluster, as that server has them from its primary; none on a single server
 */
export function judgeStandby({ node, to }: FailoverRequest, facts: StandbyFacts, places: readonly Place[]): Verdict {
  const [lost, standby] = [formatNodeAddress(node), formatNodeAddress(to)];
  const state = facts.isStandby
    ? `a standby${facts.isStreaming ? ', which is being sent WAL' : ''}`
    : 'promoted already';
  if (!facts.isMilliard) return { fault: `its database has no tables of Milliard, so it is no copy of ${lost}` };
  if (!facts.isCitus) return { role: 'single', promotes: facts.isStandby, redirects: false, checks: [state] };
  const here = places.find(({ isHere }) => isHere);
  if (here === undefined) return { fault: `it has the place of no node, so it is no copy of ${lost}` };
  const role = here.groupId === 0 ? 'coordinator' : 'worker';
  if (isAt(here, to) && places.some((place) => isAt(place, node)))
    return { fault: `it has a place of its own (${role}), so it is no copy of ${lost}` };
  if (isAt(here, to)) return { role, promotes: facts.isStandby, redirects: false, checks: [state] };
  if (isAt(here, node))
    return { role, promotes: facts.isStandby, redirects: true, checks: [state, `a copy of ${lost} (${role})`] };
  return { fault: `it is a copy of ${formatNodeAddress(here)}, not of ${lost}: ${standby} cannot take its place` };
}

/** Why a server in this state must not lose its place; null: it may. */
export function judgeLost({ node, to, isOff }: FailoverRequest, lost: LostState): string | null {
  const [name, standby] = [formatNodeAddress(node), formatNodeAddress(to)];
  if (lost === 'primary')
    return `${name} answers as a primary: with ${standby} promoted there would be two, and what one takes the other never gets. Stop it first (pg_ctl stop --mode=fast), then run this again.`;
  if (lost === 'starting')
    return `${name} is starting or stopping: it may be back in a moment. Stop it, or wait for it (milliard cluster status).`;
  if (lost === 'silent' && !isOff)
    return `${name} gives no answer at all: it may be alive behind a broken network, and others may still write to it. Switch it off or cut it off, then say so with --switched-off.`;
  return null;
}
