import { setTimeout as delay } from 'node:timers/promises';
import { bucketsOfCustomer } from '../../core/customer-layout.ts';
import { DomainError } from '../../core/errors.ts';
import { judgeWays, notRenewedSince } from '../../core/salting.ts';
import type { Database, Session } from '../database.ts';
import { drain, endTransactionsOfTheDead, heldUp } from './drain-service.ts';
import type { DistributedLayout, SaltedCustomer, Salting, SaltOutcome, SaltPlan, SaltRequest } from './salting.ts';
import {
  activate,
  deleteLeftBehind,
  insertDraining,
  insertSaltAudit,
  nextEpoch,
  selectLeases,
  selectNow,
  selectSaltLayouts,
  tryLockSalting,
  withdraw,
} from './salting-queries.ts';

export interface SaltingDeps {
  /** Connected to the coordinator where the database is a cluster. */
  readonly db: Database;
  readonly isCitus: boolean;
}

/** How long the customer's writes may wait: servers that find the row older take it away. */
const drainMs = 2_000;
const pollMs = 100;

export function createSalting({ db, isCitus }: SaltingDeps): Salting {
  return {
    list: async () => customersOf(await db.query(selectSaltLayouts())),
    async plan(customerId, ways): Promise<SaltPlan> {
      const before = waysOf(await db.query(selectSaltLayouts()), customerId);
      refuse(before.at(-1) ?? 1, ways);
      const layouts = [...before, ways].map((count) => ({ ways: count }));
      return {
        customerId,
        waysBefore: before.at(-1) ?? 1,
        ways,
        buckets: bucketsOfCustomer(customerId, layouts),
        holders: await db.query(selectLeases()),
      };
    },
    salt: (request) =>
      db.session(async (session) => {
        const [lock] = await session.run(tryLockSalting());
        if (lock?.got !== true) {
          throw new DomainError('salt_running', 'Another `salt` is at work on this database. Wait for its end.');
        }
        return saltLocked(session, request, isCitus);
      }),
  };
}

/** @returns whether there is nothing to do @throws DomainError `salt_refused` */
function refuse(waysBefore: number, ways: number): boolean {
  const verdict = judgeWays(waysBefore, ways);
  if (verdict.kind === 'refused') throw new DomainError('salt_refused', verdict.reason, { ways: waysBefore });
  return verdict.kind === 'nothing';
}

async function saltLocked(session: Session, request: SaltRequest, isCitus: boolean): Promise<SaltOutcome> {
  const { customerId, ways, signal, onStep } = request;
  await session.run(deleteLeftBehind());
  const all = await session.run(selectSaltLayouts());
  const waysBefore = waysOf(all, customerId).at(-1) ?? 1;
  if (refuse(waysBefore, ways)) return { kind: 'nothing', waysBefore, ways, pausedMs: 0, servers: 0 };

  onStep('preparing');
  const servers = await untilAllMove(session, request, isCitus);
  signal.throwIfAborted();

  const epoch = await epochOf(session);
  const target = { customerId, layout: 1 + all.filter((row) => row.customerId === customerId).length, epoch };
  onStep('draining');
  const startedMs = performance.now();
  let isDone = false;
  try {
    await session.run(insertDraining({ ...target, ways, drainMs }));
    await drain(session, { epoch, isCitus, startedMs, signal, onStep });
    const activeEpoch = await epochOf(session);
    onStep('activating');
    const [active] = await session.run(activate({ ...target, activeEpoch }));
    if (active === undefined) {
      throw heldUp('the database took too long, so that a server took this process for dead');
    }
    isDone = true;
  } finally {
    // Whatever cannot be taken back here is taken back by the servers when its time is over.
    if (!isDone) await session.run(withdraw(target)).catch(() => {});
  }
  const pausedMs = performance.now() - startedMs;
  const facts = { ways_before: waysBefore, ways, paused_ms: Math.round(pausedMs) };
  await session.run(insertSaltAudit(request.actor, customerId, facts));
  return { kind: 'salted', waysBefore, ways, pausedMs, servers };
}

async function epochOf(session: Session): Promise<bigint> {
  const [row] = await session.run(nextEpoch());
  if (row === undefined) throw new RangeError('A sequence has always a next value.');
  return row.epoch;
}

/**
 * Waits until every process that may write orders has shown that it is there, or its lease has run out: before anybody is made to wait.
 * @returns how many there are
 */
async function untilAllMove(session: Session, { signal, onWaiting }: SaltRequest, isCitus: boolean): Promise<number> {
  const [since] = await session.run(selectNow());
  for (let turn = 0; ; turn++) {
    signal.throwIfAborted();
    const leases = await session.run(selectLeases());
    const late = notRenewedSince(leases, since?.now ?? 0);
    if (late.length === 0) {
      await endTransactionsOfTheDead(session, leases, isCitus);
      return leases.length;
    }
    // All wait for their next renewal; whom a person should know of is who does not come.
    if (turn === Math.ceil(2_500 / pollMs)) onWaiting(late);
    await delay(pollMs);
  }
}

const waysOf = (rows: readonly DistributedLayout[], customerId: string): number[] => [
  1,
  ...rows.filter((row) => row.customerId === customerId && row.state === 'active').map(({ ways }) => ways),
];

function customersOf(rows: readonly DistributedLayout[]): SaltedCustomer[] {
  const customers = new Map<string, SaltedCustomer>();
  for (const { customerId, ways, state, createdAt: since } of rows) {
    const before = customers.get(customerId)?.ways ?? [1];
    customers.set(customerId, { customerId, ways: [...before, ways], state, since });
  }
  return [...customers.values()];
}
