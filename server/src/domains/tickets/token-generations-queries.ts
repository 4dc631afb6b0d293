import { statement } from '../../storage/sql.ts';
import type { TokenGeneration } from './ticket-token.ts';

export const tokenGenerations = statement<TokenGeneration>(
  'token_generations',
  `select generation, event, refused_from as "refusedFrom", created_at as "createdAt" from token_generations order by generation`,
);

/**
 * Marks a transaction as one that issues tokens. Run **before** `tokenGenerations` in it; see `generationsForIssue`. No row is
 * written, nothing is waited for: ROW SHARE conflicts with nothing that a rotation takes.
 */
export const markIssuer = statement<object>('mark_issuer', 'lock table token_generations in row share mode');

/** The virtual transactions that issue tokens just now, and who runs them. */
export const currentIssuers = statement<{ transaction: string; pid: number }>(
  'current_issuers',
  `select virtualtransaction as transaction, pid from pg_locks
    where locktype = 'relation' and database = (select oid from pg_database where datname = current_database())
      and relation = 'token_generations'::regclass and mode = 'RowShareLock' and pid <> pg_backend_pid()`,
);
