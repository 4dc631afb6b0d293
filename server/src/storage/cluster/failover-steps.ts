import { setTimeout as delay } from 'node:timers/promises';
import { formatNodeAddress, type NodeAddress } from '../../core/cluster.ts';
import type { ConnectionOptions } from '../connection.ts';
import { StorageError } from '../faults.ts';
import { onAllNodes, selectNodes } from './cluster-queries.ts';
import type { FailoverPlan } from './failover.ts';
import { type Line, refuseFailover as refuse, withLine } from './failover-line.ts';
import { addressText, emptySynchronous, preparedText, promote, selectSynchronous } from './failover-queries.ts';
import { recoverPrepared } from './recovery.ts';

const pollMs = 100;
const reloadMs = 5_000;
/** Citus tells the other nodes in the background, and tries again every 5 s. */
const knownMs = 20_000;
const recoveredMs = 10_000;

export interface Promotion {
  readonly to: NodeAddress;
  readonly plan: FailoverPlan;
  readonly connection: ConnectionOptions;
  readonly done: string[];
  onStep(step: string): void;
}

/** Commits that wait for standbys that are not there. */
export interface Waits {
  /** The names of these, as synchronous_standby_names had them; '' = commits wait for nobody who is missing. */
  readonly for: string;
  /** Whether they still do. */
  readonly isLeft: boolean;
}

/** Makes the standby a primary that can commit. One that was made so before is only looked at. */
export async function promoteStandby({ to, plan, connection, done, onStep }: Promotion): Promise<Waits> {
  const name = formatNodeAddress(to);
  if (plan.promotes) {
    onStep(`promoting ${name}`);
    const [answer] = await withLine(to, connection, (on) => on.run(promote()).catch(lacksRights(name, 'pg_promote()')));
    if (answer?.isPromoted !== true)
      throw refuse(
        'promotion_failed',
        `${name} was told to be a primary and is still a standby after a minute. Its log says why; run this again.`,
      );
    done.push(`Promoted ${name}.`);
  }
  return withLine(to, connection, async (on) => {
    const names = await namesWaitedFor(on);
    const isNew = plan.promotes || plan.redirects;
    if (names === '' || !isNew) return { for: names, isLeft: names !== '' };
    await waitForNobody(on, name, names);
    done.push(`Emptied synchronous_standby_names of ${name} ('${names}'): commits wait for these, and none is there.`);
    return { for: names, isLeft: false };
  });
}

async function waitForNobody(on: Line, name: string, names: string): Promise<void> {
  for (const step of emptySynchronous) await on.run(step).catch(lacksRights(name, 'ALTER SYSTEM'));
  const until = performance.now() + reloadMs;
  while ((await namesWaitedFor(on)) !== '') {
    if (performance.now() > until)
      throw refuse(
        'promotion_failed',
        `${name} is a primary, but its commits wait for the standbys '${names}', of which none is there, and synchronous_standby_names cannot be changed from here: it stands on its command line. Empty it there, then run this again.`,
      );
    await delay(pollMs);
  }
}

async function namesWaitedFor(on: Line): Promise<string> {
  const [found] = await on.run(selectSynchronous());
  return found === undefined || found.isThere ? '' : found.names;
}

const lacksRights =
  (name: string, what: string) =>
  (error: unknown): never => {
    if (!(error instanceof StorageError) || error.fault?.kind !== 'permission') throw error;
    throw refuse(
      'promotion_failed',
      `The user of DATABASE_URL must not call ${what} on ${name}: run this as a superuser, or do that by hand and run this again.`,
    );
  };

/** Waits until every node that answers knows the address. @returns those that do not */
export async function untilAllKnow(on: Line, id: number, { host, port }: NodeAddress): Promise<readonly string[]> {
  const until = performance.now() + knownMs;
  for (;;) {
    const answers = await on.run(onAllNodes(addressText(id)));
    const unaware = answers.filter(({ success, result }) => !success || result !== `${host} ${port}`);
    // Who does not answer may do so for long.
    if (!unaware.some(({ success }) => success) || performance.now() > until) return namesOf(on, unaware);
    await delay(pollMs);
  }
}

async function namesOf(on: Line, answers: readonly { readonly id: number }[]): Promise<string[]> {
  if (answers.length === 0) return [];
  const nodes = await on.run(selectNodes());
  return nodes.filter((node) => answers.some(({ id }) => id === node.id)).map(formatNodeAddress);
}

/** Ends what was left prepared, and looks whether anything still is. */
export async function recoverAll(on: Line): Promise<{ readonly recovered: number; readonly preparedLeft: number }> {
  const startedMs = performance.now();
  let recovered = 0;
  for (;;) {
    recovered += await recoverPrepared(on);
    const elapsedMs = performance.now() - startedMs;
    const answers = await on.run(onAllNodes(preparedText(elapsedMs)));
    const preparedLeft = answers.reduce((sum, { success, result }) => sum + (success ? Number(result) : 0), 0);
    if (preparedLeft === 0 || elapsedMs > recoveredMs) return { recovered, preparedLeft };
    await delay(pollMs);
  }
}
