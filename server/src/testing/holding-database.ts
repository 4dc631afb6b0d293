import { AsyncLocalStorage } from 'node:async_hooks';
import type { Database } from '../storage/database.ts';
import { statement } from '../storage/sql.ts';

/** How a transaction that was held ends. */
export type Ending = 'commit' | 'rollback' | 'cut';

/** A transaction that has done its work and has not ended. */
export interface HeldTransaction<T> {
  /** Ends it. Rejects after `rollback` and `cut`, as the work would. */
  end(ending: Ending): Promise<T>;
}

export interface HoldingDatabase {
  /** The same database, but that its transactions are held before their end where `hold` runs them. */
  readonly db: Database;
  /** Runs work up to the end of its transaction. Rejects when the work fails before. */
  hold<T>(work: () => Promise<T>): Promise<HeldTransaction<T>>;
}

const backendPid = statement<{ pid: number }>('backend_pid', 'select pg_backend_pid() as pid');

/** Transactions that commit later than they would: what others do meanwhile comes before them. */
export function holdTransactions(db: Database): HoldingDatabase {
  // Which hold a transaction belongs to: several may be under way.
  const waiting = new AsyncLocalStorage<{ arrive: ((end: (ending: Ending) => void) => void) | null }>();
  return {
    db: {
      ...db,
      transaction: (work, options) => {
        const hold = waiting.getStore();
        const arrive = hold?.arrive ?? null;
        if (hold === undefined || arrive === null) return db.transaction(work, options);
        hold.arrive = null;
        return db.session(async (session) => {
          await session.script('begin');
          const result = await work(session);
          const ending = await new Promise<Ending>((resolve) => arrive(resolve));
          if (ending === 'cut') {
            const [backend] = await session.run(backendPid());
            await db.query({ text: 'select pg_terminate_backend($1::int)', values: [backend?.pid] });
          }
          await session.script(ending === 'rollback' ? 'rollback' : 'commit');
          if (ending !== 'commit') throw new Error(`The transaction was ended by ${ending}.`);
          return result;
        });
      },
    },
    async hold<T>(work: () => Promise<T>) {
      let arrive: (end: (ending: Ending) => void) => void = () => {};
      const arrival = new Promise<(ending: Ending) => void>((resolve) => {
        arrive = resolve;
      });
      const result = waiting.run({ arrive }, work);
      const outcome = result.then(
        () => null,
        (error: unknown) => ({ error }),
      );
      const first = await Promise.race([arrival, outcome]);
      if (typeof first !== 'function') throw first?.error ?? new Error('The work made no transaction.');
      return {
        end(ending: Ending) {
          first(ending);
          return result;
        },
      };
    },
  };
}
