import type { Database } from '../storage/database.ts';
import type { Transaction } from '../storage/transaction.ts';
import { type AuditEntry, insertAudit, selectAuditColumns } from './job-run-queries.ts';

/** Writes into the audit log of a Milliard database; a foreign database has none, or one of its own that is left alone. */
export interface Audit {
  /** Call before the transaction: looks once whether there is a log. */
  prepare(): Promise<void>;
  write(tx: Transaction, entry: AuditEntry): Promise<void>;
}

const auditColumns = 5n;

export function createAudit(db: Database): Audit {
  let exists: boolean | null = null;
  return {
    async prepare() {
      if (exists !== null) return;
      const [found] = await db.query(selectAuditColumns());
      exists = found?.columns === auditColumns;
    },
    async write(tx, entry) {
      if (exists === true) await tx.run(insertAudit(entry));
    },
  };
}
