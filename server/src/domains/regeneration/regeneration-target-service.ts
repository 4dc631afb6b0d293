import type { DomainError } from '../../core/errors.ts';
import { jobRefused } from '../../jobs/job-errors.ts';
import type { Database } from '../../storage/database.ts';
import { distributionOf } from '../../storage/distribution.ts';
import {
  columnNames,
  findCitusTables,
  findRelation,
  isCitusTable,
  selectFacts,
  similarTables,
} from './regeneration-catalogue-queries.ts';
import { estimatedRows, type Target } from './regeneration-queries.ts';
import { type RegenerationRecord, recordsExist, recordsOf } from './regeneration-record-queries.ts';
import { refusalsOf, type TargetFacts } from './regeneration-target.ts';
import { displayed, parseTableName, type TableName } from './table-name.ts';

export interface TargetRequest {
  readonly table: string;
  readonly column: string;
}

/**
 * Looks the table and the column up in the catalogue and makes sure that its values can be replaced. Only reads.
 * @throws DomainError `job_refused` with every reason
 */
export async function inspectTarget(db: Database, request: TargetRequest): Promise<TargetFacts> {
  const name = parseTableName(request.table);
  if (name === null)
    throw jobRefused(
      `"${request.table}" is no name of a table: give schema.table, with quotes around a part that has a dot in it, as in "my.schema".table.`,
    );
  const [relation] = await db.query(findRelation(name));
  if (relation === undefined) throw await noTable(db, name);
  const [found] = await db.query(selectFacts(relation.oid, request.column));
  if (found === undefined) throw await noColumn(db, { ...relation, column: request.column });
  const facts = { ...found, isCitusTable: await isDistributed(db, relation.oid) };
  const reasons = [...refusalsOf(facts), ...(await ownTable(db, facts))];
  if (reasons.length > 0)
    throw jobRefused(
      `The values of ${displayed(facts)}.${facts.column} cannot be replaced: ${reasons.length === 1 ? reasons[0] : reasons.map((reason) => `\n  - ${reason}`).join('')}`,
      { reasons },
    );
  return facts;
}

/** What statements need of the facts. */
export const targetOf = (facts: TargetFacts): Target => ({
  schema: facts.schema,
  table: facts.table,
  column: facts.column,
  keyColumns: facts.keyColumns,
  isPartitioned: facts.relationKind === 'p',
});

async function noTable(db: Database, name: TableName): Promise<DomainError> {
  const similar = await db.query(similarTables(name));
  const hint =
    similar.length > 0
      ? ` Is it ${similar.map(displayed).join(' or ')}? Names are taken exactly as they are, capitals too.`
      : ' Names are taken exactly as they are, capitals too.';
  return jobRefused(`There is no table ${displayed(name)} in this database.${hint}`);
}

async function noColumn(
  db: Database,
  { oid, column, ...table }: TableName & { readonly oid: number; readonly column: string },
): Promise<DomainError> {
  const uuids = (await db.query(columnNames(oid))).filter(({ isUuid }) => isUuid).map((found) => found.column);
  const hint = uuids.length > 0 ? `Its columns of type uuid: ${uuids.join(', ')}.` : 'It has no column of type uuid.';
  return jobRefused(`${displayed(table)} has no column "${column}". ${hint}`);
}

async function isDistributed(db: Database, oid: number): Promise<boolean> {
  const [citus] = await db.query(findCitusTables());
  if (citus?.installed !== true) return false;
  const [found] = await db.query(isCitusTable(oid));
  return found?.distributed === true;
}

/** Milliard's own ids and tokens carry the place of their row: others would not be found. */
async function ownTable(db: Database, facts: TargetFacts): Promise<readonly string[]> {
  if (facts.schema !== 'public' || !(facts.table in distributionOf)) return [];
  const [salts] = await db.query(findRelation({ schema: 'public', table: 'customer_salts' }));
  return salts === undefined
    ? []
    : [
        'it is a table of Milliard, whose values carry the place of their row. Leaked tickets: milliard tickets rotate.',
      ];
}

/** The runs that there were about a column, newest first. */
export async function pastRuns(db: Database, facts: TargetFacts): Promise<readonly RegenerationRecord[]> {
  const [records] = await db.query(recordsExist());
  return records?.found === true ? db.query(recordsOf(facts.tableOid, facts.column)) : [];
}

/** Rows as the last ANALYZE knew them; null = it was never analyzed. */
export async function rowEstimate(db: Database, { tableOid }: TargetFacts): Promise<number | null> {
  const [estimate] = await db.query(estimatedRows(tableOid));
  return estimate?.rows == null ? null : Math.round(estimate.rows);
}
