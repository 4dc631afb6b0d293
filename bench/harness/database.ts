import { createDatabase, type Database } from '../../server/src/storage/database.ts';

/** A client of a few connections whose statements may take as long as they like. */
export const openDatabase = (url: string): Database =>
  createDatabase({
    url,
    applicationName: 'bench',
    poolSize: 4,
    readClients: 1,
    statementTimeoutMs: 0,
    connectTimeoutMs: 5_000,
  });
