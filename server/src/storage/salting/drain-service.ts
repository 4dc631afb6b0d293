import { setTimeout as delay } from 'node:timers/promises';
import { DomainError } from '../../core/errors.ts';
import { behindEpoch } from '../../core/salting.ts';
import type { Session } from '../database.ts';
import { StorageError } from '../faults.ts';
import type { LeaseHolder, OpenTransaction, SaltRequest } from './salting.ts';
import { endTransactionsOfOthers, selectLeases, selectOpenTransactions } from './salting-queries.ts';

/** Less than the time after which servers take the row away: what is left is for the end. */
const budgetMs = 1_600;
const pollMs = 20;

export interface Drain extends Pick<SaltRequest, 'signal' | 'onStep'> {
  /** Of the row that says that the customer drains. */
  readonly epoch: bigint;
  readonly isCitus: boolean;
  /** When the row was written, by performance.now(). */
  readonly startedMs: number;
}

/**
 * Waits until nobody can write by an older layout any more: every live lease has seen the epoch, and every transaction that writes
 * orders and was open then has ended. One that begins later is judged by its process after it has begun (customer-writes.ts).
 * @throws DomainError `salt_held_up`
 */
export async function drain(session: Session, { epoch, isCitus, startedMs, signal, onStep }: Drain): Promise<void> {
  const poll = async (describe: () => string): Promise<void> => {
    signal.throwIfAborted();
    if (performance.now() - startedMs >= budgetMs) throw heldUp(describe());
    await delay(pollMs);
  };
  onStep('waiting for servers');
  let leases = await session.run(selectLeases());
  for (let late = behindEpoch(leases, epoch); late.length > 0; late = behindEpoch(leases, epoch)) {
    await poll(() => late.map(describeHolder).join('; '));
    leases = await session.run(selectLeases());
  }
  onStep('waiting for transactions');
  const first = await openTransactions(session, isCitus);
  for (let left = first; left.length > 0; ) {
    await endTransactionsOfTheDead(session, leases, isCitus);
    await poll(() => left.map((open) => describeTransaction(open, leases)).join('; '));
    const now = new Set((await openTransactions(session, isCitus)).map(identityOf));
    left = left.filter((open) => now.has(identityOf(open)));
    leases = await session.run(selectLeases());
  }
}

/** Ends what processes whose leases have run out left open: nobody would wait for them, and they would hold rows. */
export async function endTransactionsOfTheDead(
  session: Session,
  live: readonly LeaseHolder[],
  isCitus: boolean,
): Promise<void> {
  const numbers = live.map(({ lockNumber }) => lockNumber);
  for (const answer of await session.run(endTransactionsOfOthers(numbers, isCitus))) requireAnswer(answer);
}

async function openTransactions(session: Session, isCitus: boolean): Promise<OpenTransaction[]> {
  const answers = await session.run(selectOpenTransactions(isCitus));
  return answers.flatMap((answer) => {
    requireAnswer(answer);
    const found = JSON.parse(answer.result) as Omit<OpenTransaction, 'node'>[];
    return found.map((open) => ({ ...open, node: answer.node }));
  });
}

function requireAnswer({ node, success, result }: { node: number; success: boolean; result: string }): void {
  if (success) return;
  throw new StorageError(
    'storage_unavailable',
    `Node ${node} of the cluster cannot say which transactions are open: ${result}. Nothing was changed.`,
  );
}

const identityOf = ({ node, id }: OpenTransaction): string => `${node} ${id}`;

const seconds = (ms: number): string => `${(ms / 1_000).toFixed(1)} s`;

/** Who it is, where, and since when nothing was heard of it. */
export const describeHolder = ({ application, version, host, pid, ageMs }: LeaseHolder): string =>
  `${application} ${version} on ${host} (process ${pid}), last heard of ${seconds(ageMs)} ago`;

function describeTransaction({ lockNumber, ageMs, id, node }: OpenTransaction, leases: readonly LeaseHolder[]): string {
  const holder = leases.find((lease) => lease.lockNumber === lockNumber);
  const whose =
    holder === undefined
      ? `a process without a lease (${id} on node ${node})`
      : `${holder.application} on ${holder.host} (process ${holder.pid})`;
  return `a transaction of ${whose}, open for ${seconds(ageMs)}`;
}

export const heldUp = (by: string): DomainError =>
  new DomainError(
    'salt_held_up',
    `The customer keeps the layout it had: its orders would have waited too long for ${by}. Run the command again; a server that hangs is waited for before anybody else is.`,
  );
