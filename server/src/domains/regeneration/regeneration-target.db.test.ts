import { describe, expect, test } from 'vitest';
import { createTestClient } from '../../testing/open-database.ts';
import { openForeignDatabase } from '../../testing/test-regeneration.ts';
import { oldValues } from './regeneration-plan.ts';
import { lookUpByKey, replaceValues } from './regeneration-queries.ts';
import { noticesOf } from './regeneration-target.ts';
import { inspectTarget, targetOf } from './regeneration-target-service.ts';

const { db, url, script } = await openForeignDatabase();

await script(`
  create table good (id bigint primary key, token uuid, holder text);
  create view good_view as select * from good;
  create materialized view good_copy as select * from good;
  create table keyless (token uuid);
  create table keyed (token uuid, part integer, primary key (part, token));
  create table "text" (id integer primary key, token text);
  create table arrays (id integer primary key, token uuid[]);
  create table computed (id integer primary key, a uuid, token uuid generated always as (a) stored);
  create table referred (id integer primary key, token uuid unique);
  create table referring (id integer primary key, token uuid references referred (token));
  create table by_token (id integer, token uuid, primary key (id, token)) partition by hash (token);
  create table by_token_0 partition of by_token for values with (modulus 1, remainder 0);
  create table loose (id integer, token uuid) partition by hash (token);
  create table loose_0 partition of loose for values with (modulus 1, remainder 0);
  alter table loose_0 add primary key (id);
  create table loose_by (id integer, token uuid) partition by list ((token::text));
  create table loose_by_0 partition of loose_by default;
  alter table loose_by_0 add primary key (id);
  create table ruled (id integer primary key, token uuid);
  create rule keep as on update to ruled do instead nothing;
  create table silent (id integer primary key, token uuid);
  alter table silent replica identity nothing;
  create publication spread for table silent, good;
  create extension if not exists postgres_fdw;
  create server elsewhere foreign data wrapper postgres_fdw;
  create foreign table far (id integer, token uuid) server elsewhere;
  create sequence numbers;
  create table public."Capital" (id integer primary key, "Token" uuid);
`).catch(async (error: unknown) => {
  throw error;
});

const reasonsFor = (table: string, column = 'token') =>
  inspectTarget(db, { table, column }).then(
    () => 'accepted',
    (error: Error & { code?: string }) => `${error.code}: ${error.message}`,
  );

describe('refused with the reason', () => {
  test.each([
    ['good_view', 'a view'],
    ['good_copy', 'a materialized view'],
    ['far', 'a foreign table'],
    ['numbers', 'no column'],
    ['good_pkey', 'no column'],
    ['keyless', 'no primary key'],
    ['keyed', 'in the primary key'],
    ['text', 'type text, not uuid'],
    ['arrays', 'type uuid[], not uuid'],
    ['computed', 'generated'],
    ['referred', 'foreign key (referring_token_fkey on referring)'],
    ['referring', 'foreign key (referring_token_fkey on referring)'],
    ['by_token', 'partition key of by_token'],
    ['by_token_0', 'partition key of by_token'],
    ['loose_0', 'partition key of loose'],
    ['loose_by_0', 'partition key of loose_by'],
    ['ruled', 'rules rewrite its updates (keep)'],
    ['silent', 'REPLICA IDENTITY NOTHING'],
    ['milliard_jobs.job_runs', 'type', 'kind'],
    ['pg_catalog.pg_class', 'of PostgreSQL', 'relname'],
    ['nowhere', 'There is no table nowhere'],
    ['capital', 'Is it public.Capital?'],
    ['public.capital', 'Is it public.Capital?'],
    ['public.good', 'has no column "Token". Its columns of type uuid: token', 'Token'],
    ['a.b.c', 'no name of a table'],
    ["public.good'; drop table good; --", 'There is no table'],
  ])('%s: %s', async (table, words, column = 'token') => {
    const reason = await reasonsFor(table, column);
    expect(reason).toMatch(/^job_refused: /);
    expect(reason).toContain(words);
  });

  test('a user without the privileges, by name', async () => {
    await script(`create role clerk login; grant usage on schema public to clerk; grant select (id) on good to clerk`);
    const clerkUrl = new URL(url);
    clerkUrl.username = 'clerk';
    const clerk = createTestClient(clerkUrl.href);
    try {
      const reason = await inspectTarget(clerk, { table: 'good', column: 'token' }).catch(
        (error: Error) => error.message,
      );
      expect(reason).toContain('update on column token');
      expect(reason).toContain('select on column token');
      expect(reason).toContain('create and usage on schema milliard_jobs');
      expect(reason).not.toContain('primary key');
    } finally {
      await clerk.close();
      await script('drop owned by clerk; drop role clerk');
    }
  });

  test('a user from whom row security hides rows, but not the owner', async () => {
    await script(`create role reader login; create table secured (id integer primary key, token uuid);
      grant all on secured, good to reader; alter table secured enable row level security;
      grant all on schema milliard_jobs to reader`);
    const readerUrl = new URL(url);
    readerUrl.username = 'reader';
    const reader = createTestClient(readerUrl.href);
    try {
      await expect(inspectTarget(reader, { table: 'secured', column: 'token' })).rejects.toThrow('row security');
      await expect(inspectTarget(reader, { table: 'good', column: 'token' })).resolves.toBeDefined();
      await expect(inspectTarget(db, { table: 'secured', column: 'token' })).resolves.toBeDefined();
    } finally {
      await reader.close();
      await script('drop owned by reader; drop role reader');
    }
  });
});

test('accepted: an ordinary table, also by its quoted or exact name', async () => {
  await expect(inspectTarget(db, { table: 'public.good', column: 'token' })).resolves.toMatchObject({
    keyColumns: ['id'],
    isUuid: true,
  });
  await expect(inspectTarget(db, { table: '"Capital"', column: 'Token' })).resolves.toMatchObject({ table: 'Capital' });
});

test('triggers, a unique index that blocks, children and publications are reported', async () => {
  await script(`
    create table busy (id integer primary key, token uuid, holder text, constraint busy_token unique (token));
    create unique index busy_both on busy (holder, token);
    create unique index busy_some on busy (token) where token is not null;
    create table scans (id integer primary key, busy_id integer references busy);
    create table busier (extra text) inherits (busy);
    create function nothing() returns trigger language plpgsql as 'begin return new; end';
    create trigger every before update on busy for each row execute function nothing();
    create trigger mine after update of token on busy for each row execute function nothing();
    create trigger holders after update of holder on busy for each row execute function nothing();
    create trigger asleep before update on busy for each row execute function nothing();
    alter table busy disable trigger asleep;
    create trigger others after insert or delete on busy for each row execute function nothing();
    alter publication spread add table busy`);
  const facts = await inspectTarget(db, { table: 'busy', column: 'token' });
  expect(facts.triggers).toEqual(['every', 'mine']);
  const text = JSON.stringify(noticesOf(facts));
  for (const words of ['busy_token', 'busy_both', 'drop constraint', 'scans', 'busier', 'spread', '"mine\\"'])
    expect(text).toContain(words);
  expect(text).not.toContain('busy_some\\" makes');
  expect(facts.indexes).toEqual(['public.busy_both', 'public.busy_some', 'public.busy_token']);
});

// The cure that is printed must really help: the insert of a referencing row no longer waits.
test('the partial index that is proposed does not block inserts of referencing rows', async () => {
  await script(`
    create table seats (id integer primary key, token uuid, constraint seats_token unique (token));
    create table checks (id integer primary key, seat integer references seats);
    insert into seats values (1, gen_random_uuid())`);
  const insertWaits = () =>
    db.transaction(async (tx) => {
      await tx.run({ text: 'update seats set token = gen_random_uuid()', values: [] });
      return db
        .transaction(async (other) => {
          await other.run({ text: `set local lock_timeout = '50ms'`, values: [] });
          await other.run({ text: 'insert into checks select coalesce(max(id), 0) + 1, 1 from checks', values: [] });
          return false;
        })
        .catch(() => true);
    });
  expect(await insertWaits()).toBe(true);
  const facts = await inspectTarget(db, { table: 'seats', column: 'token' });
  for (const line of noticesOf(facts).flatMap(({ cure }) => cure)) await script(line);
  expect(await insertWaits()).toBe(false);
  expect(noticesOf(await inspectTarget(db, { table: 'seats', column: 'token' }))).toEqual([]);
});

describe('a batch is looked up by key', () => {
  const explained = async (table: string): Promise<string> => {
    const target = targetOf(await inspectTarget(db, { table, column: 'token' }));
    const values = oldValues.before('explain');
    return db.transaction(async (tx) => {
      await tx.run(lookUpByKey());
      const { text, values: parameters } = replaceValues(target, { values, after: 100, last: 5_100 });
      const plan = await tx.run<{ 'QUERY PLAN': string }>({ text: `explain ${text}`, values: parameters });
      return plan.map((row) => row['QUERY PLAN']).join('\n');
    });
  };

  test.each([
    ['analyzed', 'id', '', 'analyze'],
    ['never analyzed', 'id', '', ''],
    ['with a key of two columns', 'area, id', '', 'analyze'],
    ['partitioned', 'area, id', 'partition by list (area)', 'analyze'],
  ])('%s', async (...[, key, partitioned, analyze]) => {
    await script(`
      drop table if exists plans cascade; drop table if exists milliard_jobs.before_explain;
      create table plans (id bigint not null, area integer not null, token uuid, primary key (${key})) ${partitioned};
      ${partitioned === '' ? '' : 'create table plans_0 partition of plans for values in (0); create table plans_1 partition of plans for values in (1);'}
      insert into plans select g, g % 2, gen_random_uuid() from generate_series(1, 20000) g;
      create unique index on plans (token${partitioned === '' ? '' : ', area'});
      create table milliard_jobs.before_explain as select row_number() over () as n, ${key
        .split(', ')
        .map((name, n) => `${name} as k${n + 1}`)
        .join(', ')}, token as old from plans;
      alter table milliard_jobs.before_explain add primary key (n); ${analyze}`);
    const plan = await explained('plans');
    expect(plan).toMatch(/Nested Loop/);
    expect(plan).toMatch(/Index Scan using before_explain_pkey/);
    expect(plan).toMatch(/Index Scan using plans(_0)?_pkey/);
    expect(plan).not.toMatch(/Hash Join|Merge Join|Seq Scan|token_idx/);
  });
});
