import { describe, expect, test } from 'vitest';
import type { JobRun } from '../../jobs/job.ts';
import { hookedKind, jobsOf, openForeignDatabase, regenerator } from '../../testing/test-regeneration.ts';
import { beginRegeneration } from './regeneration-begin-service.ts';
import { inspectTarget, targetOf } from './regeneration-target-service.ts';

const foreign = await openForeignDatabase();
const { db, script, rows } = foreign;
const regenerate = regenerator(db);

let number = 0;
await script('create domain positive as integer check (value > 0)');

/** A table `t<n>` with `key` and a token for all but every tenth row, and `t<n>_was` with how it was. */
async function createTable(definition: string, fill: string): Promise<string> {
  const name = `t${++number}`;
  await script(
    `create table ${name} (${definition}, token uuid unique, note text);
     insert into ${name} ${fill}; update ${name} set token = null where note like '%0';
     create table ${name}_was as select * from ${name}`,
  );
  return name;
}

const filled = (key: string, count = 500): string =>
  `select ${key}, gen_random_uuid(), 'note ' || g from generate_series(1, ${count}) g`;

const numbered = (count = 500) => createTable('id bigint primary key', filled('g', count));

/** Rows by what became of their token since the table was made; rows are compared by their note. */
async function fates(name: string): Promise<Record<string, number>> {
  const found = await rows<{ fate: string; rows: bigint }>(
    `select case when t.token is null and w.token is null then 'null' when t.token = w.token then 'same'
            when t.token is null then 'lost' else 'new' end as fate, count(*) as rows
       from ${name} t join ${name}_was w using (note) group by 1`,
  );
  return Object.fromEntries(found.map((row) => [row.fate, Number(row.rows)]));
}

const oldLeft = async (name: string): Promise<number> =>
  Number(
    (await rows<{ n: bigint }>(`select count(*) as n from ${name} where token in (select token from ${name}_was)`))[0]
      ?.n,
  );

const remains = async () =>
  (
    await rows<{ name: string }>(
      `select relname as name from pg_class where relnamespace = 'milliard_jobs'::regnamespace and relkind = 'r'
        and (relname like 'before%' or relname like 'again%') order by 1`,
    )
  ).map(({ name }) => name);

const errorsOf = (run: JobRun) => jobsOf(db).errors(run.runId, { limit: 100, after: 0 });

describe('every value is replaced once', () => {
  test.each([
    ['bigint', 'id bigint primary key', 'g'],
    ['gaps of a million', 'id bigint primary key', 'g * 1000003'],
    ['text', 'id text primary key', `'k''"' || g`],
    ['uuid', 'id uuid primary key', 'gen_random_uuid()'],
    ['timestamptz', 'id timestamptz primary key', `'2026-01-01'::timestamptz + g * interval '1 hour'`],
    ['numeric with infinity', 'id numeric primary key', `case when g = 1 then 'infinity' else g / 3.0 end`],
    ['a domain', 'id positive primary key', 'g'],
  ])('key of type %s', async (_, definition, key) => {
    const table = await createTable(definition, filled(key));
    const run = await regenerate({ table: `public.${table}` }, { batchRows: 70 });
    expect(run).toMatchObject({
      state: 'done',
      doneRows: 450,
      failedRows: 0,
      total: { rows: 450, precision: 'exact' },
      counts: { replaced: 450, left_alone: 0 },
      result: { old_values_left: 0, values_at_start: 450, old_values: 'dropped' },
    });
    expect(await fates(table)).toEqual({ new: 450, null: 50 });
    expect(await oldLeft(table)).toBe(0);
    expect(await remains()).toEqual([]);
  });

  test('with a key of several columns', async () => {
    const name = `t${++number}`;
    await script(
      `create table ${name} (seat text, area integer, token uuid unique, note text, primary key (area, seat));
       insert into ${name} select 'S' || g % 50, g / 50, gen_random_uuid(), 'note ' || g from generate_series(1, 500) g;
       create table ${name}_was as select * from ${name}`,
    );
    const run = await regenerate({ table: name }, { batchRows: 33 });
    expect(run).toMatchObject({ state: 'done', counts: { replaced: 500 } });
    expect(await fates(name)).toEqual({ new: 500 });
  });

  test('of a domain over uuid, in a table whose names are SQL', async () => {
    await script(
      `create schema "Bobby"; create domain "Bobby".token as uuid check (value is not null);
       create table "Bobby"."x""; drop table t1; --" ("the Key" text primary key, "select" "Bobby".token);
       insert into "Bobby"."x""; drop table t1; --" select 'k' || g, gen_random_uuid() from generate_series(1, 100) g;
       create table bobby_was as select "select" as token from "Bobby"."x""; drop table t1; --"`,
    );
    const run = await regenerate({ table: 'Bobby."x""; drop table t1; --"', column: 'select' });
    expect(run).toMatchObject({ state: 'done', counts: { replaced: 100 } });
    const left = `select 1 from "Bobby"."x""; drop table t1; --" where "select" in (select token from bobby_was)`;
    expect(await rows(left)).toEqual([]);
    expect(await rows('select 1 from t1 limit 1')).toHaveLength(1);
  });

  test('of a partitioned table, rows that move to another partition too', async () => {
    await script(
      `create table parted (area integer, id bigint, token uuid, note text, primary key (area, id)) partition by list (area);
       create table parted_1 partition of parted for values in (1);
       create table parted_2 partition of parted for values in (2) partition by range (id);
       create table parted_2a partition of parted_2 for values from (0) to (1000000);
       insert into parted select 1 + g % 2, g, gen_random_uuid(), 'note ' || g from generate_series(1, 400) g;
       create table parted_was as select * from parted`,
    );
    const run = await regenerate(
      { table: 'public.parted' },
      { batchRows: 50, beforeBatch: (n) => script(`update parted set area = 3 - area where id % 13 = ${n}`) },
    );
    expect(run).toMatchObject({ state: 'done', result: { old_values_left: 0 } });
    expect(await fates('parted')).toEqual({ new: 400 });
  });

  test('also where rows share a value, each getting its own', async () => {
    const name = `t${++number}`;
    await script(
      `create table ${name} (id integer primary key, token uuid, note text);
       insert into ${name} select g, '00000000-0000-4000-8000-000000000000', 'note ' || g from generate_series(1, 50) g`,
    );
    expect(await regenerate({ table: name })).toMatchObject({ state: 'done', counts: { replaced: 50 } });
    expect(await rows(`select distinct token from ${name}`)).toHaveLength(50);
  });

  test('in two ranges at once', async () => {
    const table = await numbered(30_000);
    const run = await regenerate({ table }, { batchRows: 1_500 });
    expect(run).toMatchObject({ state: 'done', doneRows: 27_000, counts: { replaced: 27_000 } });
    expect(await rows(`select 1 from milliard_jobs.job_ranges where run_id = '${run.runId}'`)).toHaveLength(2);
    expect(await oldLeft(table)).toBe(0);
  });

  test('of an empty table, which is done at once', async () => {
    const table = await numbered(0);
    expect(await regenerate({ table })).toMatchObject({ state: 'done', doneRows: 0, result: { values_at_start: 0 } });
  });
});

describe('what an application does meanwhile stays', () => {
  test('rows inserted, changed and deleted between batches', async () => {
    const table = await numbered(500);
    const run = await regenerate(
      { table },
      {
        batchRows: 50,
        beforeBatch: (n) =>
          script(
            `insert into ${table} values (${10_000 + n}, gen_random_uuid(), 'inserted'), (${-1 - n}, gen_random_uuid(), 'inserted');
             update ${table} set token = md5(id::text)::uuid, note = 'changed' where id % 50 = 7 and id between ${n * 40} and ${n * 40 + 100};
             update ${table} set note = note || '!' where id % 50 = 8;
             delete from ${table} where id % 50 = 9 and id between ${n * 40} and ${n * 40 + 100}`,
          ),
      },
    );
    expect(run).toMatchObject({ state: 'done', result: { old_values_left: 0 } });
    expect(await oldLeft(table)).toBe(0);
    const [seen] = await rows(
      `select count(*) filter (where note = 'changed' and token = md5(id::text)::uuid)::int as changed,
              count(*) filter (where note = 'changed')::int as "allChanged",
              count(*) filter (where id % 50 = 9 and id > 0 and id < 400)::int as deleted from ${table}`,
    );
    expect(seen).toEqual({
      changed: seen?.['allChanged'],
      allChanged: expect.toSatisfy((n: number) => n >= 8),
      deleted: 0,
    });
  });

  test('rows whose key moves behind or before the run are found by their value', async () => {
    const table = await numbered(500);
    const run = await regenerate(
      { table },
      {
        batchRows: 50,
        beforeBatch: (n) =>
          n > 9
            ? Promise.resolve()
            : script(
                `update ${table} set id = case when ${n} % 2 = 0 then id + 100000 else id - 100000 end where id % 11 = ${n}`,
              ),
        beforeFinish: (n) =>
          n > 0 ? Promise.resolve() : script(`update ${table} set id = id + 1000000 where id % 7 = 1`),
      },
    );
    expect(run).toMatchObject({ state: 'done', result: { old_values_left: 0 } });
    expect(run.counts['left_alone']).toBeGreaterThan(0);
    expect(run.counts['replaced']).toBe(450);
    expect(await oldLeft(table)).toBe(0);
  });

  test('a row that is moved away from each of the first sweeps is found in the end', async () => {
    const table = await numbered(100);
    const move = () => script(`update ${table} set id = id + 1000 where note = 'note 42'`);
    const run = await regenerate(
      { table },
      { batchRows: 100, beforeBatch: (n) => (n < 7 ? move() : Promise.resolve()) },
    );
    expect(run).toMatchObject({ state: 'done', counts: { replaced: 90 } });
  });

  test('a row that is deleted and inserted again with its old value gets a new one', async () => {
    const table = await numbered(100);
    const run = await regenerate(
      { table },
      {
        batchRows: 100,
        beforeFinish: (n) =>
          n > 0
            ? Promise.resolve()
            : script(`insert into ${table} select id + 5000, token, 'again' from ${table}_was where id in (1, 2, 3)`),
      },
    );
    expect(run).toMatchObject({ state: 'done', counts: { replaced: 93 }, result: { old_values_left: 0 } });
    expect(await oldLeft(table)).toBe(0);
  });

  test('the first regeneration of a database lets other runs go on while it copies', async () => {
    const table = await numbered(10);
    await script('drop table if exists milliard_jobs.regenerations');
    const jobs = jobsOf(db);
    const { run } = await jobs.start('regenerate-uuid', { table, column: 'token' }, { actor: 'test' });
    const facts = await inspectTarget(db, { table, column: 'token' });
    const copying: string[] = [];
    let locks: readonly object[] = [];
    const rolledBack = new Error('rolled back');
    const begun = db.transaction(async (tx) => {
      // After each statement about the copy: whether a heartbeat could be written.
      const watched: typeof tx = {
        ...tx,
        async run(statement) {
          const found = await tx.run(statement);
          if (!statement.text.includes('before_')) return found;
          copying.push(statement.text);
          locks = [
            ...locks,
            ...(await rows(`select mode from pg_locks where relation = 'milliard_jobs.job_runs'::regclass
              and database = (select oid from pg_database where datname = current_database()) and mode = 'ShareRowExclusiveLock'`)),
          ];
          return found;
        },
      };
      await beginRegeneration(watched, { runId: run.runId, facts, target: targetOf(facts), sourceRunId: null });
      throw rolledBack;
    });
    await expect(begun).rejects.toBe(rolledBack);
    expect(copying.length).toBeGreaterThan(3);
    expect(locks).toEqual([]);
    await jobs.cancel(run.runId, 'test');
  });

  test('a row locked by an application is waited for, and judged by what it is then', async () => {
    const table = await numbered(100);
    let release = () => {};
    const held = db.transaction(async (tx) => {
      await tx.run({ text: `update ${table} set token = md5('app')::uuid where id = 5`, values: [] });
      await tx.run({ text: `update ${table} set note = 'held' where id = 6`, values: [] });
      await new Promise<void>((resolve) => {
        release = resolve;
      });
    });
    let waited = false;
    const jobs = jobsOf(db);
    const { run } = await jobs.start('regenerate-uuid', { table, column: 'token' }, { actor: 'test' });
    const ended = jobs.runHere(run.runId, { signal: new AbortController().signal, whenStopped: 'pause' });
    for (let i = 0; i < 5_000 && !waited; i++) {
      // A row that another transaction has changed is waited for by its number.
      const waiting = await rows(`select 1 from pg_locks join pg_stat_activity using (pid)
        where not granted and locktype = 'transactionid' and datname = current_database()`);
      waited = waiting.length > 0;
    }
    release();
    await held;
    expect(await ended).toMatchObject({ state: 'done', counts: { replaced: 89, left_alone: 1 } });
    expect(waited).toBe(true);
    expect(await rows(`select note from ${table} where token = md5('app')::uuid`)).toEqual([{ note: 'note 5' }]);
    expect(await oldLeft(table)).toBe(0);
  });
});

describe('a row that cannot be changed', () => {
  test.each([
    [
      'a constraint',
      (table: string, old: string) =>
        `alter table ${table} add constraint odd check (note <> 'note 17' or token = '${old}')`,
    ],
    [
      'a trigger',
      (table: string) =>
        `create function ${table}_no() returns trigger language plpgsql as
           $$ begin raise exception 'no % for %', new.token, old.token; end $$;
         create trigger no before update on ${table} for each row when (old.note = 'note 17') execute function ${table}_no()`,
    ],
  ])(
    'because of %s is listed without its values, everything else is replaced, and a resume mends it',
    async (_, spoil) => {
      const table = await numbered(100);
      const [old] = await rows<{ token: string }>(`select token from ${table} where note = 'note 17'`);
      await script(spoil(table, old?.token ?? ''));
      const failed = await regenerate({ table }, { batchRows: 40 });
      expect(failed).toMatchObject({
        state: 'failed',
        failedRows: 1,
        counts: { replaced: 89 },
        error: expect.stringMatching(/^1 row has an old value\. The database refuses/),
        result: { old_values_left: 1 },
      });
      const errors = await errorsOf(failed);
      expect(errors).toMatchObject([{ rowKey: 'id=17' }]);
      expect(JSON.stringify([errors, failed])).not.toMatch(/[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}/);
      expect(await remains()).toHaveLength(2);

      await script(`alter table ${table} drop constraint if exists odd; drop trigger if exists no on ${table}`);
      const run = await regenerate({ table });
      expect(run).toMatchObject({ runId: failed.runId, state: 'done', counts: { replaced: 90 } });
      expect(await oldLeft(table)).toBe(0);
      expect(await remains()).toEqual([]);
    },
  );

  test('because a trigger puts the old value back ends the run with that reason', async () => {
    const table = await numbered(50);
    await script(
      `create function ${table}_back() returns trigger language plpgsql as $$ begin new.token = old.token; return new; end $$;
       create trigger back before update on ${table} for each row execute function ${table}_back()`,
    );
    const run = await regenerate({ table });
    expect(run).toMatchObject({
      state: 'failed',
      error: expect.stringMatching(/45 rows have old values.*something puts/),
    });
    await jobsOf(db).cancel(run.runId, 'test');
    expect(await remains()).toEqual([]);
  });

  test('a full disk ends the run where it stands; with room again it goes on', async () => {
    const table = await numbered(300);
    await script(
      `create function ${table}_full() returns trigger language plpgsql as $$ begin
         if exists (select from ${table}_disk) then raise exception 'no space left' using errcode = '53100'; end if; return new; end $$;
       create table ${table}_disk (full_now integer);
       create trigger full_disk before update on ${table} for each row execute function ${table}_full()`,
    );
    const failed = await regenerate(
      { table },
      {
        batchRows: 50,
        beforeBatch: (n) => (n === 3 ? script(`insert into ${table}_disk values (1)`) : Promise.resolve()),
      },
    );
    expect(failed).toMatchObject({ state: 'failed', doneRows: 150, error: expect.stringContaining('disk') });
    await script(`delete from ${table}_disk`);
    const run = await regenerate({ table });
    expect(run).toMatchObject({ runId: failed.runId, state: 'done', doneRows: 270, counts: { replaced: 270 } });
    expect(await oldLeft(table)).toBe(0);
  });
});

describe('a run', () => {
  test('that was paused is finished by another engine, every row once', async () => {
    const table = await numbered(500);
    const stop = new AbortController();
    const first = jobsOf(
      db,
      hookedKind({ batchRows: 50, beforeBatch: async (n) => void (n === 3 && stop.abort()) }),
      11,
    );
    const { run } = await first.start('regenerate-uuid', { table, column: 'token' }, { actor: 'test' });
    const paused = await first.runHere(run.runId, { signal: stop.signal, whenStopped: 'pause' });
    expect(paused).toMatchObject({ state: 'paused' });
    expect(paused.doneRows).toBeGreaterThan(0);
    expect(paused.doneRows).toBeLessThan(450);
    const before = await rows(`select id from ${table} t join ${table}_was w using (id) where t.token <> w.token`);
    expect(before).toHaveLength(paused.doneRows);
    const done = await regenerate({ table });
    expect(done).toMatchObject({ runId: run.runId, state: 'done', doneRows: 450, counts: { replaced: 450 } });
  });

  test('is worked at by one process only', async () => {
    const table = await numbered(500);
    const other = jobsOf(db, hookedKind(), 12);
    const refusals: unknown[] = [];
    const run = await regenerate(
      { table },
      {
        batchRows: 100,
        beforeBatch: async (n) => {
          if (n !== 2) return;
          const again = await other.start(
            'regenerate-uuid',
            { table: `"public"."${table}"`.replace('"public".', ''), column: 'token' },
            { actor: 'other' },
          );
          expect(again.replayed).toBe(true);
          await other
            .runHere(again.run.runId, { signal: new AbortController().signal, whenStopped: 'pause' })
            .catch((error: unknown) => refusals.push(error));
        },
      },
    );
    expect(refusals).toMatchObject([{ code: 'job_held_elsewhere' }]);
    expect(run).toMatchObject({ state: 'done', counts: { replaced: 450 } });
  });

  test('about a column that another unfinished run is about, named otherwise, is refused', async () => {
    const table = await numbered(100);
    await script(`alter table ${table} add constraint odd check (note <> 'note 17') not valid`);
    const first = await regenerate({ table });
    expect(first.state).toBe('failed');
    const second = await regenerate({ table: `public.${table}` });
    expect(second).toMatchObject({ state: 'failed', error: expect.stringContaining(first.runId) });
    await jobsOf(db).cancel(second.runId, 'test');
    await jobsOf(db).cancel(first.runId, 'test');
    expect(await remains()).toEqual([]);
  });

  test('that is cancelled takes its tables away, also when its table is gone', async () => {
    const table = await numbered(100);
    await script(`alter table ${table} add constraint odd check (note <> 'note 17') not valid`);
    const failed = await regenerate({ table });
    expect(await remains()).not.toEqual([]);
    await script(`drop table ${table}`);
    expect((await regenerate({ table })).error).toContain('There is no table');
    expect((await jobsOf(db).cancel(failed.runId, 'test')).state).toBe('cancelled');
    expect(await remains()).toEqual([]);
  });

  test('rehearsed changes nothing and leaves nothing', async () => {
    const table = await numbered(500);
    const forecast = await jobsOf(db).rehearse(
      'regenerate-uuid',
      { table, column: 'token' },
      { batches: 3, actor: 'test' },
    );
    expect(forecast).toMatchObject({ sampledRows: 450, total: { rows: 450, precision: 'exact' } });
    expect(await fates(table)).toEqual({ same: 450, null: 50 });
    expect(await remains()).toEqual([]);
  });

  test('keeps the copy of old values from everybody but its owner', async () => {
    await script(
      `create role nosy; grant usage on schema milliard_jobs to nosy;
       alter default privileges in schema milliard_jobs grant select on tables to nosy, public`,
    );
    try {
      const table = await numbered(50);
      const seen: unknown[] = [];
      await regenerate({ table, recheck: true });
      seen.push(
        ...(await rows(
          `select has_table_privilege('nosy', 'milliard_jobs.' || quote_ident('${(await remains())[0]}'), 'select') as may`,
        )),
      );
      expect(seen).toEqual([{ may: false }]);
      await regenerate({ table, recheck: true, forget: true });
    } finally {
      await script(
        `alter default privileges in schema milliard_jobs revoke select on tables from nosy, public; drop owned by nosy; drop role nosy`,
      );
    }
  });
});

describe('--recheck', () => {
  test('keeps the copy, and finds and replaces old values that were written back later', async () => {
    const table = await numbered(200);
    expect(await regenerate({ table, recheck: true })).toMatchObject({
      state: 'done',
      counts: { replaced: 180 },
      result: { old_values: expect.stringContaining('kept in milliard_jobs.before_') },
    });
    await script(
      `update ${table} t set token = w.token from ${table}_was w where w.id = t.id and t.id in (1, 2);
       insert into ${table} select 9000, token, 'stale' from ${table}_was where id = 3`,
    );
    const fresh = await rows(`select id, token from ${table} where id not in (1, 2, 9000) order by id`);
    expect(await regenerate({ table, recheck: true })).toMatchObject({
      state: 'done',
      counts: { replaced: 3 },
      result: { old_values_left: 0 },
    });
    expect(await oldLeft(table)).toBe(0);
    expect(await rows(`select id, token from ${table} where id not in (1, 2, 9000) order by id`)).toEqual(fresh);
    const last = await regenerate({ table, recheck: true, forget: true });
    expect(last).toMatchObject({ state: 'done', result: { old_values: 'dropped' } });
    expect(await remains()).toEqual([]);
  });

  test('is refused where the last run dropped the copy, unless everything shall be replaced again', async () => {
    const table = await numbered(50);
    await regenerate({ table });
    await expect(regenerate({ table, recheck: true })).rejects.toMatchObject({
      code: 'job_refused',
      message: expect.stringContaining('--recheck --anew'),
    });
    expect(await regenerate({ table, recheck: true, anew: true })).toMatchObject({ counts: { replaced: 45 } });
    // A run without it drops what is kept.
    expect(await regenerate({ table })).toMatchObject({ state: 'done', counts: { replaced: 45 } });
    expect(await remains()).toEqual([]);
  });
});
