import { quoted } from './table-name.ts';

/** What the catalogue says about a table and a column of it, as far as it decides whether and how values can be replaced. */
export interface TargetFacts {
  readonly tableOid: number;
  readonly schema: string;
  readonly table: string;
  readonly column: string;
  /** pg_class.relkind */
  readonly relationKind: string;
  readonly isTemporary: boolean;
  readonly isSystem: boolean;
  readonly columnType: string;
  /** uuid itself or a domain over it. */
  readonly isUuid: boolean;
  readonly isGenerated: boolean;
  /** In the order of the key; empty = there is no primary key. */
  readonly keyColumns: readonly string[];
  /** Constraints in which the column stands, on this side or the other. */
  readonly foreignKeys: readonly string[];
  /** Tables of the partition tree whose partition key has the column in it. */
  readonly partitionedBy: readonly string[];
  /** Tables that inherit from it and are no partitions. */
  readonly children: readonly string[];
  /** UPDATE rules. */
  readonly rules: readonly string[];
  readonly rowSecurityActive: boolean;
  /** What the user may not do, in words: `select on column "id"`. */
  readonly missingPrivileges: readonly string[];
  /** Subscriptions of logical replication that write into it. */
  readonly subscriptions: number;
  /** Publications that send its updates on. */
  readonly publications: readonly string[];
  /** pg_class.relreplident */
  readonly replicaIdentity: string;
  readonly isCitusTable: boolean;
  readonly isStandby: boolean;
  readonly serverVersion: number;
  /** Enabled triggers of users that an UPDATE of the column fires. */
  readonly triggers: readonly string[];
  readonly uniqueIndexes: readonly UniqueIndex[];
  /** Tables with a foreign key to this one. */
  readonly referencingTables: readonly string[];
  /** Indexes that have the column in them. */
  readonly indexes: readonly string[];
}

/** A unique index with the column in it. */
export interface UniqueIndex {
  readonly name: string;
  readonly schema: string;
  /** The columns, quoted, in order. */
  readonly columns: readonly string[];
  /** Of the whole table and of columns only: a foreign key could refer to it. */
  readonly isPlain: boolean;
  /** The constraint it stands for, or null. */
  readonly constraint: string | null;
}

/** Something a person should know before, with SQL that changes it. */
export interface Notice {
  readonly text: string;
  readonly cure: readonly string[];
}

const kindWords: Readonly<Record<string, string>> = {
  v: 'a view: name the table behind it',
  m: 'a materialized view: name the table behind it and refresh the view afterwards',
  f: 'a foreign table: run it in the database where the table is',
  i: 'an index',
  I: 'an index',
  S: 'a sequence',
  c: 'a composite type',
  t: 'a TOAST table',
};

const tableOf = (facts: TargetFacts): string => `${quoted(facts.schema)}.${quoted(facts.table)}`;
const list = (names: readonly string[]): string => names.join(', ');

type Rule = readonly [applies: (facts: TargetFacts) => boolean, reason: (facts: TargetFacts) => string];

/** Why values cannot be replaced, in the order in which a person should learn of it. Each reason says what would help. */
const refusals: readonly Rule[] = [
  [
    (f) => f.relationKind !== 'r' && f.relationKind !== 'p',
    (f) => `it is ${kindWords[f.relationKind] ?? 'not a table'}.`,
  ],
  [(f) => f.isSystem, () => 'it is a table of PostgreSQL or of Milliard’s own jobs.'],
  [(f) => f.isTemporary, () => 'it is a temporary table, which only its own session sees.'],
  [
    (f) => f.isCitusTable,
    () => 'it is distributed by Citus, where a copy on the coordinator cannot be joined to it row by row.',
  ],
  [(f) => f.serverVersion < 150_000, () => 'the server is older than PostgreSQL 15.'],
  [(f) => f.isStandby, () => 'the server is a standby, which accepts no writes: name the primary.'],
  [
    (f) => !f.isUuid,
    (f) =>
      `the column is of type ${f.columnType}, not uuid.${
        /^(text|char|citext)/.test(f.columnType)
          ? ` Where it holds UUIDs as text, change its type first (this rewrites the table and locks it meanwhile): alter table ${tableOf(f)} alter column ${quoted(f.column)} type uuid using ${quoted(f.column)}::uuid`
          : ''
      }`,
  ],
  [(f) => f.isGenerated, () => 'the column is generated: PostgreSQL computes it from other columns.'],
  [
    (f) => f.partitionedBy.length > 0,
    (f) =>
      `the column is in the partition key of ${list(f.partitionedBy)}: a new value would move its row to another partition.`,
  ],
  [
    (f) => f.keyColumns.length === 0,
    (f) =>
      `the table has no primary key, by which rows are found again. Add one: alter table ${tableOf(f)} add primary key (…)`,
  ],
  [
    (f) => f.keyColumns.includes(f.column),
    () => 'the column is in the primary key, by which rows are found again and which other data may hold.',
  ],
  [
    (f) => f.foreignKeys.length > 0,
    (f) => `the column is in a foreign key (${list(f.foreignKeys)}): rows of the other table hold the same values.`,
  ],
  [
    (f) => f.rules.length > 0,
    (f) =>
      `rules rewrite its updates (${list(f.rules)}). Drop or disable them: alter table ${tableOf(f)} disable rule …`,
  ],
  [
    (f) => f.missingPrivileges.length > 0,
    (f) => `this user lacks privileges: ${list(f.missingPrivileges)}. Grant them, or connect as the owner.`,
  ],
  [
    (f) => f.rowSecurityActive,
    () => 'row security may hide rows from this user. Connect as the owner of the table or as a role with BYPASSRLS.',
  ],
  [
    (f) => f.subscriptions > 0,
    () => 'it receives its rows by logical replication: run it in the database that publishes them.',
  ],
  [
    (f) => f.publications.length > 0 && f.replicaIdentity === 'n',
    (f) =>
      `it is published (${list(f.publications)}) with REPLICA IDENTITY NOTHING, so PostgreSQL refuses updates. Change it: alter table ${tableOf(f)} replica identity default`,
  ],
];

/** Every reason why the values of the column cannot be replaced; empty = they can. */
export function refusalsOf(facts: TargetFacts): readonly string[] {
  const reasons = refusals.filter(([applies]) => applies(facts)).map(([, reason]) => reason(facts));
  // Of what is no table at all the rest need not be told.
  return facts.relationKind === 'r' || facts.relationKind === 'p' ? reasons : reasons.slice(0, 1);
}

/** What should be known before the values are replaced, the SQL that helps with it. */
export function noticesOf(facts: TargetFacts): readonly Notice[] {
  return [...triggerNotices(facts), ...lockNotices(facts), ...otherNotices(facts)];
}

function triggerNotices(facts: TargetFacts): Notice[] {
  const { triggers } = facts;
  if (triggers.length === 0) return [];
  const names = list(triggers.map(quoted));
  const one = triggers.length === 1;
  return [
    {
      text:
        `The ${one ? `trigger ${names} fires` : `triggers ${names} fire`} for every row: it takes longer, and whatever ${one ? 'it does' : 'they do'} is done for each. ` +
        'Without them for this run only, the application keeps them (a superuser, or a role granted SET on the parameter):',
      cure: ['add to the address of --database-url: ?options=-c%20session_replication_role%3Dreplica'],
    },
    {
      text: `Or for everybody while it runs:`,
      cure: triggers.flatMap((name) => [
        `alter table ${tableOf(facts)} disable trigger ${quoted(name)};`,
        `alter table ${tableOf(facts)} enable trigger ${quoted(name)}; -- afterwards`,
      ]),
    },
  ];
}

/**
 * An update of a column that a foreign key could refer to takes the strong row lock, which waits for and blocks inserts of
 * referencing rows (13.3.2 Explicit Locking). A partial index cannot be referred to, so it does not count.
 */
function lockNotices(facts: TargetFacts): Notice[] {
  if (facts.referencingTables.length === 0) return [];
  return facts.uniqueIndexes
    .filter(({ isPlain }) => isPlain)
    .map((index) => ({
      text:
        `The unique index ${quoted(index.name)} makes each update lock its row so strongly that inserts into ${list(facts.referencingTables)} which refer to it wait for the end of the batch (about 0.1 s). ` +
        'A partial index with the same meaning avoids it:',
      cure: partialIndex(facts, index),
    }));
}

function partialIndex(facts: TargetFacts, index: UniqueIndex): string[] {
  // CREATE INDEX CONCURRENTLY and DROP INDEX CONCURRENTLY do not know partitioned tables.
  const concurrently = facts.relationKind === 'p' ? '' : ' concurrently';
  const name = quoted(`${index.name.slice(0, 50)}_not_null`);
  return [
    `create unique index${concurrently} ${name} on ${tableOf(facts)} (${index.columns.join(', ')}) where ${quoted(facts.column)} is not null;`,
    index.constraint === null
      ? `drop index${concurrently} ${quoted(index.schema)}.${quoted(index.name)};`
      : `alter table ${tableOf(facts)} drop constraint ${quoted(index.constraint)};`,
  ];
}

function otherNotices(facts: TargetFacts): Notice[] {
  const notices: Notice[] = [];
  if (!facts.uniqueIndexes.some(({ columns }) => columns.length === 1))
    notices.push({
      text: 'The column is not declared unique: rows that share a value get different ones.',
      cure: [],
    });
  if (facts.children.length > 0)
    notices.push({
      text: `Rows of tables that inherit from it are left alone; run it for each: ${list(facts.children)}.`,
      cure: [],
    });
  if (facts.publications.length > 0)
    notices.push({ text: `Every replaced row is sent to the subscribers of ${list(facts.publications)}.`, cure: [] });
  return notices;
}

/** What an in-place replacement leaves behind, and the SQL that tidies up. Each runs while the table is in use. */
export function adviceOf(facts: TargetFacts): readonly string[] {
  return [
    `vacuum (analyze) ${tableOf(facts)};`,
    ...facts.indexes.map((index) => `reindex index concurrently ${index};`),
  ];
}
