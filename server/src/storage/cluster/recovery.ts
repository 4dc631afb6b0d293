import type { Session } from '../database.ts';
import { onAllNodes } from './cluster-queries.ts';

/** Ends what a lost node left prepared, as each coordinator decided: each node knows of the transactions it began. @returns how many */
export async function recoverPrepared(on: Pick<Session, 'run'>): Promise<number> {
  const answers = await on.run(onAllNodes('select recover_prepared_transactions()'));
  return answers.reduce((sum, { success, result }) => sum + (success ? Number(result) : 0), 0);
}
