import { setTimeout as delay } from 'node:timers/promises';
import { expect } from 'vitest';
import type { Database } from '../storage/database.ts';
import type { MilliardCommand } from './milliard-process.ts';
import { outcomeOf, untilBatchIsOpen } from './open-batches.ts';

export type Fault = 'process' | 'database';

/** So many kills of a process and stops of the database, in any order. */
export const faultsInAnyOrder = (kills: number, databaseStops: number): Fault[] =>
  [...Array<Fault>(kills).fill('process'), ...Array<Fault>(databaseStops).fill('database')].sort(
    () => Math.random() - 0.5,
  );

export interface FaultyWork {
  readonly db: Database;
  readonly kills: number;
  readonly databaseStops: number;
  /**
   * So many kills must hit a batch. Where too few did, for this machine was busy between a look at the database and the kill,
   * there are more of them; 0 = it does not matter.
   */
  readonly hits: number;
  /** Types the command (again): it must go on where it stopped, and be slow enough to outlive all faults. */
  readonly begin: () => MilliardCommand;
  /** Batches done so far. */
  readonly batches: () => Promise<number>;
  /** What a batch is at in the middle of its work: words of a statement; those of a rotation unless given. */
  readonly words?: string;
  readonly crashDatabase: () => Promise<void>;
  /** Looks at what is stored after each fault. */
  readonly afterFault?: () => Promise<void>;
}

export interface FaultCounts {
  kills: number;
  /** Kills that hit a batch: its statement went on just before, and PostgreSQL says that it was rolled back. */
  in_a_batch: number;
  database_stops: number;
}

/** Kills a command in the middle of its batches and types it again, and stops PostgreSQL under it; at the end it is paused. */
export async function throughFaults(work: FaultyWork): Promise<FaultCounts> {
  const counts: FaultCounts = { kills: 0, in_a_batch: 0, database_stops: 0 };
  const faults = faultsInAnyOrder(work.kills, work.databaseStops);
  let command = null as MilliardCommand | null;
  try {
    for (;;) {
      const fault = faults.shift() ?? (counts.in_a_batch < work.hits ? 'process' : null);
      if (fault === null) break;
      const before = await work.batches().catch(() => 0);
      command ??= work.begin();
      const open = await untilInABatch(work, command, before);
      if (fault === 'process') {
        await kill(command);
        command = null;
        counts.kills++;
        const outcomes = await Promise.all(open.map((xid) => outcomeOf(work.db, xid)));
        if (outcomes.includes('aborted')) counts.in_a_batch++;
      } else {
        // Afterwards the number of a transaction that left no trace is given to another one: nothing to be asked.
        await work.crashDatabase();
        counts.database_stops++;
      }
      await work.afterFault?.();
    }
    if (command !== null) {
      command.child.kill('SIGTERM');
      expect(await command.ended).toBe(4);
    }
    return counts;
  } finally {
    if (command !== null) await kill(command);
  }
}

/** At least one batch more than before, so that the work goes on between the faults, and another one under way. @returns its transactions */
async function untilInABatch(
  { db, batches, words }: FaultyWork,
  command: MilliardCommand,
  before: number,
): Promise<string[]> {
  while (command.isRunning() && (await batches().catch(() => before)) <= before) await delay(2);
  const open = await untilBatchIsOpen(db, () => !command.isRunning(), words);
  if (!command.isRunning()) throw new Error(`the work ended by itself:\n${command.output()}`);
  return open;
}

async function kill(command: MilliardCommand): Promise<void> {
  if (command.isRunning()) command.child.kill('SIGKILL');
  await command.ended;
}
