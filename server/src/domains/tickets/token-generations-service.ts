import type { Transaction } from '../../storage/transaction.ts';
import type { TokenGeneration } from './ticket-token.ts';
import { currentIssuers, markIssuer, tokenGenerations } from './token-generations-queries.ts';

/**
 * The generations, read so that a rotation can tell when nobody issues tokens of an older one any more. To be read in the very
 * transaction that inserts the tokens, and kept nowhere.
 *
 * Why no ticket is left with an old token unseen. The issuer first takes a ROW SHARE lock on token_generations and holds it to
 * its end; only then, with a snapshot taken after the lock, it reads the generations. A rotation commits its cut-off without
 * waiting for anybody: a revocation must not queue behind a transaction that hangs. Take any issuer that did not see the new
 * generation: its snapshot is older than the commit of the cut-off, and its lock is older than its snapshot. So at every moment
 * after that commit it is either still among `findIssuers`, or it has ended and its tickets are visible. Once the issuers found
 * after the cut-off have ended, every ticket with a token of an older generation is there to be seen, and a sweep that begins
 * then misses none. Until it is swept, such a token is refused like all others of its generation.
 */
export async function generationsForIssue(tx: Transaction): Promise<TokenGeneration[]> {
  await tx.run(markIssuer());
  return tx.run(tokenGenerations());
}

/** A transaction that issues tokens. Its name is never used again while the server runs. */
export interface Issuer {
  readonly transaction: string;
  /** Of the database's process: whom to look at when it does not end. */
  readonly pid: number;
}

/**
 * Who issues tokens just now. A rotation asks after its cut-off is committed, and again until none of the first answer is left;
 * those that came later issue the new generation.
 */
export const findIssuers = (tx: Pick<Transaction, 'run'>): Promise<Issuer[]> => tx.run(currentIssuers());
