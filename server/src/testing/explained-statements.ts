import type { Database } from '../storage/database.ts';
import type { Statement } from '../storage/sql.ts';
import type { Transaction } from '../storage/transaction.ts';

/** A database that remembers what it was asked. */
export interface RecordingDatabase {
  readonly db: Database;
  /** Runs `work`. @returns the statements it sent, but for those that no plan is made of */
  statementsOf(work: () => Promise<unknown>): Promise<Statement<unknown>[]>;
}

const isPlanned = ({ text }: Statement<unknown>): boolean => /^[\s(]*(select|insert|update|delete|with)\b/i.test(text);

export function recordStatements(db: Database): RecordingDatabase {
  let sent: Statement<unknown>[] = [];
  const kept = <Row>(statement: Statement<Row>): Statement<Row> => {
    sent.push(statement);
    return statement;
  };
  const keptIn = <Tx extends Transaction>(tx: Tx): Tx => ({ ...tx, run: (statement) => tx.run(kept(statement)) });
  return {
    db: {
      ...db,
      read: (statement) => db.read(kept(statement)),
      query: (statement) => db.query(kept(statement)),
      transaction: (work, options) => db.transaction((tx) => work(keptIn(tx)), options),
      session: (work) => db.session((session) => work(keptIn(session))),
    },
    async statementsOf(work) {
      sent = [];
      await work();
      return sent.filter(isPlanned);
    },
  };
}

/** How a Citus cluster would run a statement with these values. */
export interface Explained {
  /** What it says of its tasks, one number for each step that reads or changes shards. */
  readonly tasks: readonly number[];
  /** Its rows come from the values alone and are sent to the shards they belong to. */
  readonly isSent: boolean;
  readonly text: string;
}

export async function explain(db: Database, statement: Statement<unknown>): Promise<Explained> {
  const rows = await db.query<Record<string, string>>({
    text: `explain (costs off) ${statement.text}`,
    values: statement.values,
  });
  const plan = rows.map((row) => row['QUERY PLAN'] ?? '');
  return {
    tasks: plan.flatMap((line) => /Task Count: (\d+)/.exec(line)?.[1] ?? []).map(Number),
    isSent: plan.some((line) => line.includes('pull to coordinator')),
    text: statement.text.replace(/\s+/g, ' ').trim(),
  };
}
