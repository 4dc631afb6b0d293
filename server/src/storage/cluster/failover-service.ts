import { formatNodeAddress, isAt } from '../../core/cluster.ts';
import { type ConnectionOptions, connect } from '../connection.ts';
import { withHost } from '../coordinator.ts';
import { createCoordinatorLine } from '../coordinator-line.ts';
import { sessionOf } from '../transaction.ts';
import { audit } from './cluster-context.ts';
import { canReach } from './cluster-queries.ts';
import type { Failover, FailoverPlan, FailoverRequest } from './failover.ts';
import { askLost, type Line, refuseFailover as refuse, withLine } from './failover-line.ts';
import { type PlaceRow, redirect, selectPlaces, selectStandbyFacts } from './failover-queries.ts';
import { promoteStandby, recoverAll, untilAllKnow, type Waits } from './failover-steps.ts';
import { whatRemains } from './failover-texts.ts';
import { judgeLost, judgeStandby } from './standby-fitness.ts';

export interface FailoverDeps {
  /** How to reach the database, which may be lost; every other server is reached as the same user, in the same database. */
  readonly connection: ConnectionOptions;
}

type Run = FailoverRequest & { readonly actor: string; onStep(step: string): void };

export function createFailover({ connection }: FailoverDeps): Failover {
  return {
    plan: async (request) => (await look(request, connection)).plan,
    async run(request) {
      const { plan, here } = await look(request, connection);
      const startedMs = performance.now();
      const done: string[] = [];
      const waits = await promoteStandby({ ...request, plan, connection, done });
      const found =
        here === null
          ? { recovered: 0, preparedLeft: 0, unaware: [] }
          : await withCoordinator({ request, connection, here }, (on) => takePlace(on, here, { request, plan, done }));
      await auditIn({ request, connection, here }, { plan, recovered: found.recovered, waits, startedMs });
      const remains = whatRemains({ ...request, ...found, plan, connection, waits });
      return { ...plan, recovered: found.recovered, preparedLeft: found.preparedLeft, done, remains };
    },
  };
}

/** What the standby says, and the lost server, and the coordinator. */
async function look(
  request: FailoverRequest,
  connection: ConnectionOptions,
): Promise<{ readonly plan: FailoverPlan; readonly here: PlaceRow | null }> {
  const [node, to] = [formatNodeAddress(request.node), formatNodeAddress(request.to)];
  const { facts, places } = await withLine(request.to, connection, async (on) => {
    const [found] = await on.run(selectStandbyFacts());
    if (found === undefined) throw new RangeError('What a server says of itself is always one row.');
    return { facts: found, places: found.isCitus ? await on.run(selectPlaces()) : [] };
  });
  const verdict = judgeStandby(request, facts, places);
  if ('fault' in verdict) throw refuse('standby_unfit', `${to} cannot take over: ${verdict.fault}.`);
  const isOver = !verdict.promotes && !verdict.redirects;
  const lost = isOver ? null : await askLost(request.node, connection);
  const reason = lost === null ? null : judgeLost(request, lost);
  if (reason !== null) throw refuse(lost === 'silent' ? 'node_silent' : 'node_alive', `Nothing was changed: ${reason}`);
  const here = places.find(({ isHere }) => isHere) ?? null;
  const plan: FailoverPlan = {
    ...verdict,
    lost,
    unreplayedBytes: facts.unreplayedBytes,
    checks: lost === null ? verdict.checks : [...verdict.checks, `${node} is ${lost}`],
  };
  if (here === null || verdict.role !== 'worker') return { plan, here };
  await withCoordinator({ request, connection, here }, async (on) => {
    requireKnown(await placeIn(on, here), request);
    const [reach] = await on.run(canReach(request.to));
    if (reach?.reaches !== true)
      throw refuse(
        'standby_unfit',
        `The coordinator cannot connect to ${to}: look at pg_hba.conf there and ~/.pgpass.`,
      );
  });
  return { plan: { ...plan, checks: [...plan.checks, 'the coordinator reaches it'] }, here };
}

interface Where {
  readonly request: FailoverRequest;
  readonly connection: ConnectionOptions;
  readonly here: PlaceRow;
}

/** The coordinator that DATABASE_URL leads to; the promoted server itself when that was the coordinator. */
async function withCoordinator<T>({ request, connection, here }: Where, work: (on: Line) => Promise<T>): Promise<T> {
  if (here.groupId === 0) return withLine(request.to, connection, work);
  const client = await createCoordinatorLine(connection)
    .open()
    .catch((error: unknown) => elsewhere(request, connection, error));
  try {
    return await work(sessionOf(client));
  } finally {
    await client.end();
  }
}

/** Where DATABASE_URL leads to the lost server itself: the standby knows the coordinator. */
async function elsewhere(request: FailoverRequest, connection: ConnectionOptions, error: unknown) {
  const { hosts: _, ...single } = connection;
  const places = await withLine(request.to, connection, (on) => on.run(selectPlaces()));
  const coordinator = places.find(({ groupId }) => groupId === 0);
  if (coordinator === undefined) throw error;
  return connect({ ...single, url: withHost(connection.url, coordinator) });
}

const placeIn = async (on: Line, { groupId }: PlaceRow): Promise<PlaceRow | undefined> =>
  (await on.run(selectPlaces())).find((place) => place.groupId === groupId);

function requireKnown(place: PlaceRow | undefined, { node, to }: FailoverRequest): PlaceRow {
  if (place !== undefined && (isAt(place, node) || isAt(place, to))) return place;
  throw refuse(
    'node_unknown',
    place === undefined
      ? `The coordinator has no node of the group that ${formatNodeAddress(to)} is a copy of: is it one of this cluster?`
      : `The coordinator knows ${formatNodeAddress(place)} in the place of which ${formatNodeAddress(to)} is a copy, not ${formatNodeAddress(node)}.`,
  );
}

interface Work {
  readonly request: Run;
  readonly plan: FailoverPlan;
  readonly done: string[];
}

async function takePlace(on: Line, here: PlaceRow, { request, plan, done }: Work) {
  const { node, to, onStep } = request;
  const place = requireKnown(await placeIn(on, here), request);
  if (isAt(place, node)) {
    onStep('telling the nodes');
    await on.run(redirect(place.id, to));
    done.push(`Put ${formatNodeAddress(to)} in the place of ${formatNodeAddress(node)} (${plan.role}).`);
  }
  const unaware = await untilAllKnow(on, place.id, to);
  onStep('ending prepared transactions');
  const { recovered, preparedLeft } = await recoverAll(on);
  if (recovered > 0) done.push(`Ended ${recovered} transactions that were left prepared.`);
  return { recovered, preparedLeft, unaware };
}

interface Told {
  readonly plan: FailoverPlan;
  readonly recovered: number;
  readonly waits: Waits;
  readonly startedMs: number;
}

async function auditIn(
  { request, connection, here }: { readonly request: Run; connection: ConnectionOptions; here: PlaceRow | null },
  { plan, recovered, waits, startedMs }: Told,
): Promise<void> {
  if (!plan.promotes && !plan.redirects) return;
  const { promotes: promoted, role } = plan;
  const tookMs = Math.round(performance.now() - startedMs);
  const facts = {
    to: formatNodeAddress(request.to),
    role,
    promoted,
    recovered,
    waited_for: waits.for,
    took_ms: tookMs,
  };
  const entry = { actor: request.actor, action: 'failover', subject: formatNodeAddress(request.node), facts };
  const write = (on: Line): Promise<unknown> => audit(on, entry);
  await (here === null
    ? withLine(request.to, connection, write)
    : withCoordinator({ request, connection, here }, write));
}
