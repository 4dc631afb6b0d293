import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { withAdmin } from '../testing/admin.ts';
import { type CommitCutter, openCommitCutter } from '../testing/commit-cutter.ts';
import { createTestClient, openTestDatabase } from '../testing/open-database.ts';
import type { Database } from './database.ts';
import { dynamic, type RowTexts, type Statement, sql, statement, withRows } from './sql.ts';
import type { Transaction } from './transaction.ts';

const { db, url } = await openTestDatabase();
// Deadlocks are found sooner than after the second that is usual.
await withAdmin(url, (admin) =>
  admin.query(
    `do $$ begin execute 'alter database ' || current_database() || ' set deadlock_timeout = ''20ms'''; end $$`,
  ),
);
await db.query(dynamic(sql`create table numbers (n int primary key, v int not null default 0)`));
beforeEach(async () => {
  await db.query(dynamic(sql`truncate numbers`));
});

const insert = (n: number) => dynamic(sql`insert into numbers values (${n})`);
const selectAll = (): Statement<{ n: number }> => dynamic(sql<{ n: number }>`select n from numbers order by n`);
const numbersStored = async () => (await db.query(selectAll())).map(({ n }) => n);
const pidOf = statement<{ pid: number }>('pid', 'select pg_backend_pid() as pid');
const pid = async (tx: Pick<Transaction, 'run'>) => (await tx.run(pidOf()))[0]?.pid ?? 0;

/** Ends backends from another connection and returns when they are gone. */
async function terminate(pids: readonly number[]): Promise<void> {
  await withAdmin(url, async (admin) => {
    await admin.query('select pg_terminate_backend(p) from unnest($1::int[]) p', [pids]);
    while ((await admin.query('select from pg_stat_activity where pid = any($1)', [pids])).rowCount !== 0)
      await delay(2);
  });
}
const openPids = (application: string): Promise<number[]> =>
  withAdmin(url, async (admin) => {
    const { rows } = await admin.query(
      'select pid from pg_stat_activity where application_name = $1 and datname = current_database()',
      [application],
    );
    return rows.map((row) => row.pid);
  });

/** The first two who call it go on together; whoever comes later does not wait. */
function meeting() {
  let arrived = 0;
  let open = () => {};
  const both = new Promise<void>((resolve) => {
    open = resolve;
  });
  return () => {
    if (++arrived === 2) open();
    return both;
  };
}

describe('a transaction', () => {
  test('commits what it did and returns what it found', async () => {
    const found = await db.transaction(async (tx) => {
      await tx.run(insert(1));
      return tx.run(selectAll());
    });
    expect(found).toEqual([{ n: 1 }]);
    expect(await numbersStored()).toEqual([1]);
  });

  test('leaves nothing when its work throws, and passes the error on as it is', async () => {
    const error = new TypeError('a bug');
    const work = db.transaction(async (tx) => {
      await tx.run(insert(1));
      throw error;
    });
    await expect(work).rejects.toBe(error);
    expect(await numbersStored()).toEqual([]);
  });

  test('that went on after a failed statement is not taken for committed', async () => {
    const work = db.transaction(async (tx) => {
      await tx.run(insert(1));
      await tx.run(dynamic(sql`select 1/0`)).catch(() => {});
      return 'done';
    });
    await expect(work).rejects.toThrow('ROLLBACK');
    expect(await numbersStored()).toEqual([]);
  });

  test('undoes a savepoint alone, nested ones too', async () => {
    await db.transaction(async (tx) => {
      await tx.run(insert(1));
      await tx.savepoint(async () => {
        await tx.run(insert(2));
        const inner = tx.savepoint(async () => {
          await tx.run(insert(3));
          await tx.run(insert(2));
        });
        await expect(inner).rejects.toMatchObject({ fault: { kind: 'unique' } });
      });
      const mine = tx.savepoint(async () => {
        await tx.run(insert(4));
        throw new Error('mine');
      });
      await expect(mine).rejects.toThrow('mine');
    });
    expect(await numbersStored()).toEqual([1, 2]);
  });

  test('runs again after a deadlock: both of two that cross are committed', async () => {
    for (const n of [1, 2]) await db.query(insert(n));
    const meet = meeting();
    let runs = 0;
    const add = (n: number) => dynamic(sql`update numbers set v = v + 1 where n = ${n}`);
    const cross = (first: number, second: number) =>
      db.transaction(async (tx) => {
        runs++;
        await tx.run(add(first));
        await meet();
        await tx.run(add(second));
      });
    await Promise.all([cross(1, 2), cross(2, 1)]);
    expect(runs).toBe(3);
    expect(await db.query(dynamic(sql`select v from numbers order by n`))).toEqual([{ v: 2 }, { v: 2 }]);
  });

  test('runs again after a serialization failure', async () => {
    await db.query(insert(1));
    let runs = 0;
    await db.transaction(async (tx) => {
      await tx.run(dynamic(sql`set transaction isolation level repeatable read`));
      await tx.run(selectAll());
      if (++runs === 1) await db.query(dynamic(sql`update numbers set v = 10 where n = 1`));
      await tx.run(dynamic(sql`update numbers set v = v + 1 where n = 1`));
    });
    expect(runs).toBe(2);
    expect(await db.query(dynamic(sql`select v from numbers`))).toEqual([{ v: 11 }]);
  });

  test('gives up on rows that stay locked, with an error that says so', async () => {
    await db.query(insert(1));
    let runs = 0;
    await db.transaction(async (holder) => {
      await holder.run(dynamic(sql`select from numbers for update`));
      const waiter = db.transaction(async (tx) => {
        runs++;
        await tx.run(dynamic(sql`set local lock_timeout = 1`));
        await tx.run(dynamic(sql`select from numbers for update`));
      });
      await expect(waiter).rejects.toMatchObject({ code: 'storage_overloaded', fault: { kind: 'lock_timeout' } });
    });
    expect(runs).toBe(6);
  });

  test('runs once more when its connection is lost between two statements', async () => {
    let runs = 0;
    await db.transaction(async (tx) => {
      await tx.run(insert(1));
      if (++runs === 1) await terminate([await pid(tx)]);
      await tx.run(insert(2));
    });
    expect(runs).toBe(2);
    expect(await numbersStored()).toEqual([1, 2]);
  });

  test('does not run for ever on connections that die', async () => {
    let runs = 0;
    const work = db.transaction(async (tx) => {
      runs++;
      await terminate([await pid(tx)]);
      await tx.run(insert(1));
    });
    await expect(work).rejects.toMatchObject({ code: 'storage_unavailable' });
    expect(runs).toBe(2);
  });

  test('finds its way when every pooled connection has died', async () => {
    const client = createTestClient(url, { applicationName: 'dying pool' });
    const meet = Promise.all(Array.from({ length: 5 }, () => client.query(dynamic(sql`select pg_sleep(0.05)`))));
    await meet;
    const pids = await openPids('dying pool');
    expect(pids).toHaveLength(5);
    // The client does not learn of it before it uses them: nothing of its event loop runs between here and there but this.
    await terminate(pids);
    await Promise.all([1, 2, 3, 4, 5].map((n) => client.transaction((tx) => tx.run(insert(n)))));
    expect(await numbersStored()).toEqual([1, 2, 3, 4, 5]);
    await client.close();
  });

  test('obeys the statement time-out, its own before that of its connection', async () => {
    const sleep = dynamic(sql`select pg_sleep(5)`);
    await expect(db.transaction((tx) => tx.run(sleep), { statementTimeoutMs: 20 })).rejects.toMatchObject({
      code: 'storage_timeout',
    });
    const [row] = await db.query(dynamic<{ statement_timeout: string }>(sql`show statement_timeout`));
    expect(row?.statement_timeout).toBe('10s');
  });

  test('may be acknowledged before it is on disk, alone', async () => {
    const show = dynamic<{ synchronous_commit: string }>(sql`show synchronous_commit`);
    expect(await db.transaction((tx) => tx.run(show), { asynchronousCommit: true })).toEqual([
      { synchronous_commit: 'off' },
    ]);
    expect(await db.transaction((tx) => tx.run(show))).toEqual([{ synchronous_commit: 'on' }]);
  });
});

describe('COPY', () => {
  const copyNumbers = 'copy numbers (n) from stdin';
  const lines = (...rows: (number | string)[]) => rows.map((row) => Buffer.from(`${row}\n`));

  test('sends chunks and counts rows, out and in', async () => {
    expect(await db.transaction((tx) => tx.copyIn(copyNumbers, lines(1, 2, 3)))).toBe(3);
    const chunks: Buffer[] = [];
    await db.transaction(async (tx) => {
      for await (const chunk of tx.copyOut('copy (select n from numbers order by n) to stdout')) chunks.push(chunk);
    });
    expect(Buffer.concat(chunks).toString()).toBe('1\n2\n3\n');
    expect(await db.transaction((tx) => tx.copyIn(copyNumbers, []))).toBe(0);
  });

  test('reports a bad row as data, a double one as unique; the connection can be used again', async () => {
    for (const [bad, kind] of [
      ['x', 'data'],
      ['1', 'unique'],
    ] as const) {
      const found = await db.transaction(async (tx) => {
        await tx.run(insert(1));
        await expect(tx.savepoint(() => tx.copyIn(copyNumbers, lines(7, bad)))).rejects.toMatchObject({
          fault: { kind },
        });
        const rows = await tx.run(selectAll());
        await tx.run(dynamic(sql`delete from numbers`));
        return rows;
      });
      expect(found).toEqual([{ n: 1 }]);
    }
  });

  test('stores nothing of a source that fails half-way, and passes its error on', async () => {
    async function* source() {
      yield* lines(1, 2);
      await delay(1);
      throw new RangeError('the source broke');
    }
    await expect(db.transaction((tx) => tx.copyIn(copyNumbers, source()))).rejects.toThrow('the source broke');
    expect(await numbersStored()).toEqual([]);
    expect(db.poolUse()).toMatchObject({ waiting: 0 });
  });

  test('reports a lost connection as such', async () => {
    let runs = 0;
    const work = db.transaction(async (tx) => {
      runs++;
      await terminate([await pid(tx)]);
      await tx.copyIn(copyNumbers, lines(1));
    });
    await expect(work).rejects.toMatchObject({ code: 'storage_unavailable' });
    expect(runs).toBe(2);
  });
});

describe('a connection lost during COMMIT', () => {
  let cutter: CommitCutter;
  let client: Database;
  beforeAll(async () => {
    cutter = await openCommitCutter(url);
    client = createTestClient(cutter.url, { applicationName: 'through the cutter' });
  });
  afterAll(async () => {
    await client.close();
    await cutter.close();
  });

  test.each(['before', 'after'] as const)(
    'is commit_unknown for work that may not be done twice (%s)',
    async (when) => {
      let runs = 0;
      cutter.cutNextCommit(when);
      const work = client.transaction(async (tx) => {
        runs++;
        await tx.run(insert(1));
      });
      await expect(work).rejects.toMatchObject({ code: 'commit_unknown', fault: { kind: 'unavailable' } });
      expect(runs).toBe(1);
      expect(await numbersStored()).toEqual(when === 'after' ? [1] : []);
    },
  );

  test.each(['before', 'after'] as const)('is cured by another run of idempotent work (%s)', async (when) => {
    let runs = 0;
    cutter.cutNextCommit(when);
    await client.transaction(
      async (tx) => {
        runs++;
        await tx.run(dynamic(sql`insert into numbers values (1) on conflict do nothing`));
      },
      { idempotent: true },
    );
    expect(runs).toBe(2);
    expect(await numbersStored()).toEqual([1]);
  });

  test('stays unknown when the second run cannot find out', async () => {
    let runs = 0;
    cutter.cutNextCommit('after');
    const work = client.transaction(
      async (tx) => {
        if (++runs === 2) await terminate([await pid(tx)]);
        await tx.run(dynamic(sql`insert into numbers values (1) on conflict do nothing`));
      },
      { idempotent: true },
    );
    await expect(work).rejects.toMatchObject({ code: 'commit_unknown' });
  });
});

// Both ways to make rows: of their texts (prepared-read.ts, beneath the driver's published types) and the driver's own.
describe.each(['the statement', 'the driver'] as const)('pipelined reads with rows made by %s', (maker) => {
  const made = <Row>(given: Statement<Row>, rowOf: (texts: RowTexts) => Row): Statement<Row> =>
    maker === 'the driver' ? given : withRows(given, rowOf);
  const selectNumber = statement<{ i: number }, [number]>('echo', 'select $1::int as i', (i) => [i]);
  const echo = (i: number) => made(selectNumber(i), ([text]) => ({ i: Number(text) }));
  const divide = statement<{ q: number }, [number]>('divide', 'select 12 / $1::int as q', (by) => [by]);
  const quotient = (by: number) => made(divide(by), ([text]) => ({ q: Number(text) }));
  const numbers = (count: number) => Array.from({ length: count }, (_, i) => i);

  test('answer each caller with its own rows, from the first use of a statement on', async () => {
    const answers = await Promise.all(numbers(200).map((i) => db.read(echo(i))));
    expect(answers).toEqual(numbers(200).map((i) => [{ i }]));
  });

  test('give the rows that queries and transactions give', async () => {
    const expected = [{ q: 4 }];
    expect(await db.read(quotient(3))).toEqual(expected);
    expect(await db.query(quotient(3))).toEqual(expected);
    expect(await db.transaction((tx) => tx.run(quotient(3)))).toEqual(expected);
  });

  test('fail alone when a row cannot be made of what came', async () => {
    const unmade = withRows(selectNumber(1), () => {
      throw new RangeError('no such row');
    });
    const [bad, good] = await Promise.allSettled([db.read(unmade), db.read(echo(2))]);
    expect(bad).toMatchObject({ status: 'rejected', reason: { message: 'no such row' } });
    expect(good).toEqual({ status: 'fulfilled', value: [{ i: 2 }] });
  });

  test('fail alone', async () => {
    const results = await Promise.allSettled(
      numbers(40).map((i) => (i % 4 === 0 ? db.read<unknown>(quotient(0)) : db.read<unknown>(echo(i)))),
    );
    for (const [i, result] of results.entries()) {
      if (i % 4 === 0) expect(result).toMatchObject({ status: 'rejected', reason: { fault: { kind: 'data' } } });
      else expect(result).toEqual({ status: 'fulfilled', value: [{ i }] });
    }
  });

  test('recover a statement that could not be prepared when its table is there', async () => {
    const table = `late_${maker.replace(' ', '_')}`;
    const select = statement<{ n: number }>(table, `select n from ${table}`);
    const late = () => made(select(), ([text]) => ({ n: Number(text) }));
    for (const result of await Promise.allSettled(numbers(6).map(() => db.read(late())))) {
      expect(result).toMatchObject({ status: 'rejected' });
    }
    await db.query(dynamic(sql`create table ${sql.ref(table)} as select 7 as n`));
    expect(await Promise.all(numbers(6).map(() => db.read(late())))).toEqual(numbers(6).map(() => [{ n: 7 }]));
  });

  test('are cancelled by the statement time-out without harm to their neighbours', async () => {
    const client = createTestClient(url, { statementTimeoutMs: 30, readClients: 1 });
    const sleep = statement<unknown>('sleep', 'select pg_sleep(5)');
    const slow = client.read(made(sleep(), () => null));
    const [timedOut, quick] = await Promise.allSettled([slow, client.read(echo(1))]);
    expect(timedOut).toMatchObject({ status: 'rejected', reason: { code: 'storage_timeout' } });
    expect(quick).toEqual({ status: 'fulfilled', value: [{ i: 1 }] });
    await client.close();
  });

  test('do not notice that the server ended their connections', async () => {
    const client = createTestClient(url, { applicationName: 'ended readers' });
    for (let round = 0; round < 3; round++) {
      await Promise.all(numbers(20).map((i) => client.read(echo(i))));
      const pids = await openPids('ended readers');
      expect(pids).toHaveLength(2);
      // In flight: these wait behind a slow one when the end comes.
      const slow = [client.read(dynamic(sql`select pg_sleep(0.3)`)), client.read(dynamic(sql`select pg_sleep(0.3)`))];
      const behind = numbers(20).map((i) => client.read(echo(i)));
      await terminate(pids);
      const after = numbers(20).map((i) => client.read(echo(i)));
      expect(await Promise.all([...behind, ...after])).toHaveLength(40);
      await Promise.all(slow);
    }
    expect(await openPids('ended readers')).toHaveLength(2);
    await client.close();
    expect(await openPids('ended readers')).toHaveLength(0);
  });
});

describe('a database that is not there', () => {
  test('is storage_unavailable for everybody, and each asks once', async () => {
    const client = createTestClient('postgresql://nobody@127.0.0.1:1/none', { connectTimeoutMs: 1_000 });
    let runs = 0;
    const attempts = [
      client.read(pidOf()),
      client.query(pidOf()),
      client.session((session) => session.run(pidOf())),
      client.transaction(async () => {
        runs++;
      }),
    ];
    for (const result of await Promise.allSettled(attempts)) {
      expect(result).toMatchObject({ status: 'rejected', reason: { code: 'storage_unavailable' } });
    }
    expect(runs).toBe(0);
    await client.close();
  });

  test('is told from one that refuses the user and one without this database', async () => {
    const missing = new URL(url);
    missing.pathname = '/no_such_database';
    const client = createTestClient(missing.href);
    await expect(client.query(pidOf())).rejects.toMatchObject({ fault: { kind: 'missing_database' } });
    await client.close();
  });

  test('is what a closed client says', async () => {
    const client = createTestClient(url);
    await client.read(pidOf());
    await client.close();
    for (const attempt of [client.read(pidOf()), client.query(pidOf()), client.transaction((tx) => tx.run(pidOf()))]) {
      await expect(attempt).rejects.toMatchObject({ code: 'storage_unavailable' });
    }
  });
});

describe('connections', () => {
  test('speak UTC and ISO whatever role and database say', async () => {
    const client = createTestClient(url);
    await withAdmin(url, async (admin) => {
      await admin.query(
        `do $$ begin execute 'alter database ' || current_database() || ' set timezone = ''Asia/Kathmandu'''; end $$`,
      );
      await admin.query(
        `do $$ begin execute 'alter database ' || current_database() || ' set datestyle = ''German'''; end $$`,
      );
    });
    const moment = dynamic<{ at: number }>(sql`select timestamptz '2025-06-30T12:30:00.120Z' as at`);
    for (const rows of [
      await client.query(moment),
      await client.read(moment),
      await client.session((session) => session.run(moment)),
    ]) {
      expect(rows).toEqual([{ at: Date.parse('2025-06-30T12:30:00.120Z') }]);
    }
    await client.close();
  });

  test('add the options of the connection string to their own and keep theirs', async () => {
    const own = new URL(url);
    own.searchParams.set('options', '-c search_path=elsewhere,public -c TimeZone=Asia/Tokyo');
    const client = createTestClient(own.href, { statementTimeoutMs: 1_234 });
    const settings = dynamic(
      sql`select current_setting('search_path') as path, current_setting('TimeZone') as zone, current_setting('statement_timeout') as timeout`,
    );
    expect(await client.read(settings)).toEqual([{ path: 'elsewhere,public', zone: 'UTC', timeout: '1234ms' }]);
    await client.close();
  });

  test('of a session end with it, whether it failed or died', async () => {
    const client = createTestClient(url, { applicationName: 'session' });
    await client.session(async (session) => session.script('begin; create table session_made (n int); commit'));
    await expect(client.session(() => Promise.reject(new Error('mine')))).rejects.toThrow('mine');
    const died = client.session(async (session) => {
      await terminate([await pid(session)]);
      await session.run(pidOf());
    });
    await expect(died).rejects.toMatchObject({ code: 'storage_unavailable' });
    expect(await openPids('session')).toEqual([]);
    await client.close();
  });

  test('are not leaked by anything above', async () => {
    expect(db.poolUse()).toMatchObject({ waiting: 0 });
    expect(db.poolUse().idle).toBe(db.poolUse().open);
    const open = await withAdmin(
      url,
      async (admin) =>
        (
          await admin.query(
            `select state from pg_stat_activity where datname = current_database() and application_name like 'milliard test client%'`,
          )
        ).rows,
    );
    expect(open.every(({ state }) => state === 'idle')).toBe(true);
    expect(open.length).toBe(db.poolUse().open + 2);
  });
});
