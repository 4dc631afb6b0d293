import { setTimeout as delay } from 'node:timers/promises';
import { formatNodeAddress } from '../../core/cluster.ts';
import type { ConnectionOptions } from '../connection.ts';
import type { Database, Session } from '../database.ts';
import { addLocal, makeReference, placeText, prepareNodes, selectTables } from '../distribution-step.ts';
import { StorageError, toStorageError } from '../faults.ts';
import { inTransaction } from '../session-transaction.ts';
import { dynamic, type Statement, sql } from '../sql.ts';
import {
  type Adoption,
  type AdoptOptions,
  type AdoptOutcome,
  type AdoptPlan,
  type AdoptProgress,
  type AdoptRequest,
  type AdoptTable,
  effortDone,
  effortOf,
} from './adopt.ts';
import { coordinatorOf, oldProcesses, planAdoption, readTables, unready } from './adopt-plan-service.ts';
import {
  distributeOnline,
  prepareStatements,
  selectArrived,
  selectBegun,
  selectLockHolder,
  selectUnreachable,
  setCoordinator,
  tryLockSchema,
  validateStatements,
} from './adopt-queries.ts';
import { audit } from './cluster-context.ts';
import { addNode, copyReferenceTables, selectNodes, setTakesShards } from './cluster-queries.ts';
import { interruptibly } from './cluster-shards-service.ts';
import { recoverPrepared } from './recovery.ts';

export interface AdoptionDeps {
  /** Its sessions lead to the server that becomes the coordinator. */
  readonly db: Database;
  readonly connection: ConnectionOptions;
}

/** Makes a running single database the coordinator of a cluster, table by table. */
export function createAdoption({ db, connection }: AdoptionDeps): Adoption {
  return {
    plan: (request) => db.session((on) => planAdoption(on, request, connection)),
    adopt: (request, options) =>
      db.session(async (on) => {
        await lockSchema(on, options);
        const startedMs = performance.now();
        const plan = await planAdoption(on, request, connection);
        if (plan.faults.length > 0) throw unready(plan.faults);
        const work: Work = { db, on, connection, plan, request, ...options };
        const isWhole = plan.isCluster && plan.tables.every(({ state }) => state === 'done');
        await makeCluster(work);
        if (!isWhole) await untilAllKnow(work);
        const tables = await moveTables(work);
        return outcomeOf(work, { tables, startedMs, isWhole });
      }),
  };
}

interface Work extends AdoptOptions {
  readonly db: Database;
  /** Holds the lock. */
  readonly on: Session;
  readonly connection: ConnectionOptions;
  readonly plan: AdoptPlan;
  readonly request: AdoptRequest;
}

const pollMs = 1_000;

/** Waits for another adoption or migration; also for the last statement of one that was killed, which goes on by itself. */
async function lockSchema(on: Session, { signal, onStep }: AdoptOptions): Promise<void> {
  let told = 0;
  for (;;) {
    signal.throwIfAborted();
    const [lock] = await on.run(tryLockSchema());
    if (lock?.got === true) return;
    const [holder] = await on.run(selectLockHolder());
    if (holder !== undefined && holder.pid !== told)
      onStep(
        `waiting for ${holder.application}, which holds the schema (PostgreSQL process ${holder.pid}): what a killed command began there ends by itself`,
      );
    told = holder?.pid ?? 0;
    await delay(pollMs, undefined, { signal }).catch(() => {});
  }
}

/** Extension, address and workers. Nothing of it changes where a row is. */
async function makeCluster(work: Work): Promise<void> {
  const { on, onStep, plan, request, signal } = work;
  signal.throwIfAborted();
  if (!plan.isCluster) {
    onStep('creating the extension citus');
    await on.script('create extension if not exists citus');
  }
  if ((await on.run(selectBegun())).length === 0) await record(work, 'adopt-begin', { shards: plan.shards });
  const known = await on.run(selectNodes());
  const coordinator = coordinatorOf(request, known, work.connection);
  const address = formatNodeAddress(coordinator);
  if (!known.some((node) => node.groupId === 0 && formatNodeAddress(node) === address)) {
    onStep(`this database is ${address} to the other nodes`);
    await on.run(setCoordinator(coordinator));
    await on.run(setTakesShards(coordinator, false));
  }
  for (const worker of request.workers) {
    if (known.some((node) => node.groupId !== 0 && formatNodeAddress(node) === formatNodeAddress(worker))) continue;
    onStep(`adding ${formatNodeAddress(worker)}`);
    await on.run(addNode(worker));
  }
  const deaf = await on.run(selectUnreachable());
  if (deaf.length > 0)
    throw unready(
      deaf.map(
        ({ from, to }) =>
          `${from} cannot connect to ${to}: look at its pg_hba.conf, its ~/.pgpass and at --coordinator.`,
      ),
    );
}

/** Waits until nobody takes the database for a single server any more. */
async function untilAllKnow({ on, signal, onWaiting }: Work): Promise<void> {
  let told = '';
  for (;;) {
    const processes = await oldProcesses(on);
    const text = JSON.stringify(processes);
    if (text !== told && (processes.length > 0 || told !== '')) onWaiting(processes);
    if (processes.length === 0) return;
    told = text;
    await delay(pollMs, undefined, { signal }).catch(() => {});
    signal.throwIfAborted();
  }
}

/** @returns the tables whose rows it moved */
async function moveTables(work: Work): Promise<string[]> {
  const { on, onStep } = work;
  await recoverPrepared(on);
  await prepareNodes(on.run, onStep);
  const pending = (await readTables(on, await selectTables(on.run))).filter(({ state }) => state !== 'done');
  for (const table of pending.filter(({ kind }) => kind === 'reference' || kind === 'local')) {
    const kind = table.kind === 'reference' ? 'reference' : 'local';
    const make = kind === 'reference' ? makeReference(table.name) : addLocal(table.name);
    await briefly(work, table.name, async () => [make]);
    onStep(`${table.name}: ${placeText(kind)}`);
  }
  await on.run(copyReferenceTables);
  const distributed = pending.filter(({ kind }) => kind === 'distributed');
  // All of them before the first is moved: a transaction that writes here and on a worker is committed on both or on neither only
  // when each table it writes is known to the cluster.
  for (const table of distributed.filter(({ state }) => state === 'waiting')) {
    const tookMs = await briefly(work, table.name, () => prepareStatements(on.run, table.name));
    onStep(`${table.name}: known to every node; its users waited ${Math.round(tookMs)} ms at most`);
  }
  for (const { name } of distributed)
    for (const statement of await validateStatements(on.run, name)) await on.run(statement);
  await moveRows(work, distributed);
  return distributed.map(({ name }) => name);
}

async function moveRows(work: Work, tables: readonly AdoptTable[]): Promise<void> {
  const { on, plan, onTable, signal } = work;
  const whole = { totalBytes: sumOf(tables, ({ bytes }) => bytes), total: sumOf(tables, effortOf) };
  const startedMs = performance.now();
  for (const [index, table] of tables.entries()) {
    signal.throwIfAborted();
    const beganMs = performance.now();
    const before = tables.slice(0, index);
    const beside = (await selectTables(on.run)).find(({ kind }) => kind === 'distributed')?.name ?? null;
    const watched = watch(work, table, (arrivedBytes) => ({
      ...whole,
      table,
      doneBytes: sumOf(before, ({ bytes }) => bytes) + Math.min(arrivedBytes, table.bytes),
      done: sumOf(before, effortOf) + effortDone(table, performance.now() - beganMs, arrivedBytes),
      elapsedMs: performance.now() - startedMs,
    }));
    try {
      const statement = distributeOnline({ name: table.name, shards: plan.shards, beside });
      await interruptibly(work.db, on, { signal, work: () => on.run(statement) });
    } finally {
      await watched.stop();
    }
    onTable(table, performance.now() - beganMs);
    // New shards have no statistics, and plans made without them are poor.
    await on.run(dynamic(sql`analyze ${sql.table(table.name)}`));
  }
}

const sumOf = <Item>(items: readonly Item[], amount: (item: Item) => number): number =>
  items.reduce((sum, item) => sum + amount(item), 0);

/** Tells how far a table is, every second. */
function watch(
  { db, onProgress }: Work,
  table: AdoptTable,
  progressOf: (arrivedBytes: number) => AdoptProgress,
): { stop(): Promise<void> } {
  const over = new AbortController();
  onProgress(progressOf(0));
  const looking = db.session(async (other) => {
    while (!over.signal.aborted) {
      await delay(pollMs, undefined, { signal: over.signal }).catch(() => {});
      if (over.signal.aborted) return;
      const [arrived] = await other.run(selectArrived(table.name));
      if (!over.signal.aborted) onProgress(progressOf(Number(arrived?.bytes ?? 0n)));
    }
  });
  return {
    async stop() {
      over.abort();
      // Whoever cannot tell how far it is holds up nothing.
      await looking.catch(() => {});
    },
  };
}

// For so long may others wait behind a table that is in use; then they go first.
const lockPatienceMs = 300;

/** A change that needs a table for itself for a moment: tried again while others have it. @returns how long it had it, at most */
async function briefly(
  { on, signal, onStep }: Work,
  name: string,
  change: () => Promise<readonly Statement<object>[]>,
): Promise<number> {
  let told = false;
  for (;;) {
    signal.throwIfAborted();
    const startedMs = performance.now();
    try {
      await inTransaction(on, async () => {
        await on.script(`set local lock_timeout = ${lockPatienceMs}`);
        for (const statement of await change()) await on.run(statement);
      });
      return performance.now() - startedMs;
    } catch (thrown) {
      const error = toStorageError(thrown);
      if (!isInUse(error)) throw error;
      if (!told) onStep(`${name} is in use: trying again until it is free for a moment`);
      told = true;
      await delay(lockPatienceMs, undefined, { signal }).catch(() => {});
    }
  }
}

const isInUse = (error: unknown): boolean =>
  error instanceof StorageError && (error.fault?.kind === 'lock_timeout' || error.fault?.kind === 'serialization');

interface Ended {
  readonly tables: readonly string[];
  readonly startedMs: number;
  readonly isWhole: boolean;
}

async function outcomeOf(work: Work, { tables, startedMs, isWhole }: Ended): Promise<AdoptOutcome> {
  const { on, plan } = work;
  // What the moves left: the shards that held the rows before, publications, slots.
  await on.script('call citus_cleanup_orphaned_resources()');
  const tookMs = performance.now() - startedMs;
  if (!isWhole) await record(work, 'adopt', { tables, shards: plan.shards, tookMs: Math.round(tookMs) });
  return { outcome: isWhole ? 'nothing' : 'adopted', tables, shards: plan.shards, tookMs };
}

const record = ({ on, actor, plan }: Work, action: string, facts: object): Promise<unknown> =>
  audit(on, { actor, action, subject: plan.nodes.map(formatNodeAddress).join(', '), facts });
