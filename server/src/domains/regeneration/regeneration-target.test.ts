import { expect, test } from 'vitest';
import { adviceOf, noticesOf, refusalsOf, type TargetFacts } from './regeneration-target.ts';

const facts: TargetFacts = {
  tableOid: 1,
  schema: 'public',
  table: 'we"ird',
  column: 'to ken',
  relationKind: 'r',
  isTemporary: false,
  isSystem: false,
  columnType: 'uuid',
  isUuid: true,
  isGenerated: false,
  keyColumns: ['id'],
  foreignKeys: [],
  partitionedBy: [],
  children: [],
  rules: [],
  rowSecurityActive: false,
  missingPrivileges: [],
  subscriptions: 0,
  publications: [],
  replicaIdentity: 'd',
  isCitusTable: false,
  isStandby: false,
  serverVersion: 150_000,
  triggers: [],
  uniqueIndexes: [{ name: 'u', schema: 'public', columns: ['"to ken"'], isPlain: true, constraint: null }],
  referencingTables: [],
  indexes: ['public.u'],
};

test('an ordinary table is neither refused nor remarked upon', () => {
  expect(refusalsOf(facts)).toEqual([]);
  expect(noticesOf(facts)).toEqual([]);
});

test.each<[string, Partial<TargetFacts>]>([
  ['is a view', { relationKind: 'v' }],
  ['of PostgreSQL', { isSystem: true }],
  ['temporary', { isTemporary: true }],
  ['Citus', { isCitusTable: true }],
  ['older than PostgreSQL 15', { serverVersion: 140_009 }],
  ['standby', { isStandby: true }],
  ['type text, not uuid', { isUuid: false, columnType: 'text' }],
  ['generated', { isGenerated: true }],
  ['partition key of p', { partitionedBy: ['p'] }],
  ['no primary key', { keyColumns: [] }],
  ['in the primary key', { keyColumns: ['a', 'to ken'] }],
  ['foreign key (f on c)', { foreignKeys: ['f on c'] }],
  ['rules rewrite', { rules: ['r'] }],
  ['lacks privileges: select', { missingPrivileges: ['select'] }],
  ['row security', { rowSecurityActive: true }],
  ['logical replication', { subscriptions: 1 }],
  ['REPLICA IDENTITY NOTHING', { publications: ['p'], replicaIdentity: 'n' }],
])('refused: %s', (words, change) => {
  const reasons = refusalsOf({ ...facts, ...change });
  expect(reasons).toHaveLength(1);
  expect(reasons[0]).toContain(words.replace(/^is /, ''));
});

test('only text may hold UUIDs in another type', () => {
  const reasonFor = (columnType: string) => refusalsOf({ ...facts, isUuid: false, columnType })[0];
  expect(reasonFor('character varying(36)')).toContain('type uuid using "to ken"::uuid');
  expect(reasonFor('integer')).toBe('the column is of type integer, not uuid.');
});

test('every reason is told at once', () => {
  expect(refusalsOf({ ...facts, isUuid: false, keyColumns: [], rules: ['r'] })).toHaveLength(3);
});

test('a plain unique index of a table that others refer to comes with SQL for a partial one', () => {
  const referred = { ...facts, referencingTables: ['scans'] };
  expect(noticesOf(referred)).toMatchObject([
    {
      cure: [
        `create unique index concurrently "u_not_null" on "public"."we""ird" ("to ken") where "to ken" is not null;`,
        'drop index concurrently "public"."u";',
      ],
    },
  ]);
  const [index] = facts.uniqueIndexes;
  if (index === undefined) throw new Error('no index');
  const constraint = { ...referred, relationKind: 'p', uniqueIndexes: [{ ...index, constraint: 'c"x' }] };
  expect(noticesOf(constraint)[0]?.cure).toEqual([
    `create unique index "u_not_null" on "public"."we""ird" ("to ken") where "to ken" is not null;`,
    'alter table "public"."we""ird" drop constraint "c""x";',
  ]);
  expect(noticesOf({ ...referred, uniqueIndexes: [{ ...index, isPlain: false }] })).toEqual([]);
});

test('triggers come with both ways round them', () => {
  const cures = noticesOf({ ...facts, triggers: ['a"b'] }).flatMap(({ cure }) => cure);
  expect(cures).toContain('alter table "public"."we""ird" disable trigger "a""b";');
  expect(cures[0]).toContain('session_replication_role');
});

test('the advice names every index that has the column in it', () => {
  expect(adviceOf(facts)).toEqual(['vacuum (analyze) "public"."we""ird";', 'reindex index concurrently public.u;']);
});
