import { type Statement, statement } from './sql.ts';

/** What the database is: recognised, never configured. */
export type Topology = 'single' | 'citus';

/** One row where the database is a Citus cluster. */
export const findCitus = statement<{ version: string }>(
  'find_citus',
  `select extversion as version from pg_extension where extname = 'citus'`,
);

const selectServerVersion = statement<{ version: number }>(
  'server_version',
  `select current_setting('server_version_num')::int as version`,
);

export interface Server {
  readonly topology: Topology;
  /** As PostgreSQL counts: 150018 is 15.18. */
  readonly versionNumber: number;
}

/** The oldest server Milliard runs on. */
export const oldestServerVersion = 150_000;

export async function recogniseServer(db: { query<Row>(statement: Statement<Row>): Promise<Row[]> }): Promise<Server> {
  const [version] = await db.query(selectServerVersion());
  const citus = await db.query(findCitus());
  return { topology: citus.length > 0 ? 'citus' : 'single', versionNumber: version?.version ?? 0 };
}
