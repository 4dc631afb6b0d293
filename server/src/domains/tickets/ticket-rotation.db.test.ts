import { afterAll, beforeEach, describe, expect, test } from 'vitest';
import type { RunId } from '../../jobs/job.ts';
import { dynamic, sql } from '../../storage/sql.ts';
import { openTestDatabase } from '../../testing/open-database.ts';
import { noThrottle, until } from '../../testing/test-jobs.ts';
import { type Issued, openTestRotation } from '../../testing/test-tickets-rotation.ts';

const { db } = await openTestDatabase({ poolSize: 12 });
const world = openTestRotation(db);
const { tickets, rotate, issue, verdicts, reread, stored } = world;
const untilStopped = () => ({ signal: new AbortController().signal, whenStopped: 'pause' as const });

beforeEach(() => world.reset());
afterAll(() => tickets.drain());

const zeros = { without_current_token: 0, duplicate_tokens: 0, old_tokens_that_verify: 0 };
const nobody = { tickets: 0, verify: 0, lost: 0 };

describe('after a leak', () => {
  test('every old token is refused before any ticket has a new one; then each has exactly one', async () => {
    const old = await issue({ A: 70, B: 60 });
    let seen: unknown = null;
    const run = await rotate({}, async () => {
      seen ??= [await verdicts(old), await tickets.getToken(old[0]?.id as Issued['id']).catch((e) => e.code)];
    });
    expect(seen).toEqual([{ token_rotated: 130 }, 'token_not_issued']);
    expect(run).toMatchObject({
      state: 'done',
      counts: { issued: 130 },
      result: { generation: 100_000, event: null, in_scope: { tickets: 130, ...zeros }, out_of_scope: nobody },
    });
    expect(await verdicts(old)).toEqual({ token_rotated: 130 });
    const fresh = await reread(old);
    expect(await verdicts(fresh)).toEqual({ valid: 130 });
    expect(new Set([...old, ...fresh].map(({ token }) => token)).size).toBe(260);
    expect(await stored()).toEqual({ 1: 130, 100000: 130 });
  });

  test('a rotation of one event leaves the others valid and says so', async () => {
    const old = await issue({ A: 70, B: 120 });
    const run = await rotate({ event: 'A' });
    expect(run.result).toMatchObject({
      generation: 2,
      in_scope: { tickets: 70, ...zeros },
      out_of_scope: { tickets: 120, verify: 120, lost: 0 },
    });
    expect(await verdicts(old)).toEqual({ token_rotated: 70, valid: 120 });
    expect(await verdicts(await reread(old))).toEqual({ valid: 190 });
    expect(await stored()).toEqual({ 1: 190, 2: 70 });
  });

  test('rotations of several events and then of all follow each other', async () => {
    const first = await issue({ A: 20, B: 20, C: 20 });
    await rotate({ event: 'A' });
    await rotate({ event: 'B' });
    await rotate({ event: 'A' });
    const second = await reread(first);
    expect(await verdicts(second)).toEqual({ valid: 60 });
    expect((await rotate()).result).toMatchObject({ generation: 100_000, in_scope: { tickets: 60, ...zeros } });
    expect((await rotate({ event: 'C' })).result).toMatchObject({ generation: 100_001 });
    const last = await reread(first);
    expect(await verdicts([...first, ...second])).toEqual({ token_rotated: 120 });
    expect(await verdicts(last)).toEqual({ valid: 60 });
  });

  test('void tickets get no new token', async () => {
    const old = await issue({ A: 60 });
    const gone = old.slice(0, 25);
    for (const { id } of gone) await tickets.voidTicket({ ticketId: id, reason: null, actor: 'tester' });
    expect(await verdicts(gone)).toEqual({ void: 25 });
    expect((await rotate()).result).toMatchObject({ in_scope: { tickets: 35, ...zeros } });
    expect((await rotate({ event: 'A' })).result).toMatchObject({ in_scope: { tickets: 35, ...zeros } });
    expect(await stored()).toEqual({ 1: 60, 100000: 35, 100001: 35 });
    expect(await verdicts(old)).toEqual({ token_rotated: 60 });
  });

  test('an empty table is rotated too', async () => {
    expect((await rotate()).result).toMatchObject({ in_scope: { tickets: 0, ...zeros } });
    expect((await rotate({ event: 'nobody knows' })).result).toMatchObject({ in_scope: { tickets: 0, ...zeros } });
    expect(await verdicts(await issue({ A: 3 }))).toEqual({ valid: 3 });
  });
});

describe('with a grace', () => {
  test('both tokens are accepted until it ends', async () => {
    const old = await issue({ A: 30 });
    const run = await rotate({ grace_seconds: 3_600 });
    expect(run.result).toMatchObject({ in_scope: { tickets: 30, ...zeros } });
    const fresh = await reread(old);
    expect(await verdicts([...old, ...fresh])).toEqual({ valid: 60 });
    world.setAhead(3_601_000);
    expect(await verdicts(old)).toEqual({ token_rotated: 30 });
    expect(await verdicts(fresh)).toEqual({ valid: 30 });
  });

  test('a leak ends it at once, for the old and the new tokens', async () => {
    const old = await issue({ A: 30 });
    await rotate({ grace_seconds: 3_600 });
    const fresh = await reread(old);
    expect((await rotate()).result).toMatchObject({ in_scope: { tickets: 30, ...zeros } });
    expect(await verdicts([...old, ...fresh])).toEqual({ token_rotated: 60 });
    expect(await verdicts(await reread(old))).toEqual({ valid: 30 });
  });

  test('a leak does not wait for the planned rotation under way, which gives up', async () => {
    const old = await issue({ A: 120 });
    let leak: Awaited<ReturnType<typeof rotate>> | null = null;
    const planned = await rotate({ grace_seconds: 3_600 }, async () => {
      leak ??= await rotate();
    });
    expect(leak).toMatchObject({
      state: 'done',
      result: { generation: 200_000, in_scope: { tickets: 120, ...zeros } },
    });
    expect(planned).toMatchObject({ state: 'done', result: { generation: 100_000, superseded_by: 200_000 } });
    expect(await verdicts(old)).toEqual({ token_rotated: 120 });
  });
});

describe('beside other work', () => {
  test('tickets made and voided between its batches are left right', async () => {
    const old = await issue({ A: 400 });
    const made: Issued[] = [];
    let next = 0;
    const run = await rotate({}, async () => {
      made.push(...(await issue({ A: 3 })));
      for (const { id } of old.slice(next, next + 5))
        await tickets.voidTicket({ ticketId: id, reason: null, actor: 'tester' });
      next += 5;
    });
    expect(run).toMatchObject({ state: 'done', result: { in_scope: { tickets: 400 + made.length - next, ...zeros } } });
    expect(next).toBeGreaterThan(0);
    expect(await verdicts(old)).toEqual({ token_rotated: 400 });
    expect(await verdicts(made)).toEqual({ valid: made.length });
    expect(await verdicts(await reread(old.slice(next)))).toEqual({ valid: 400 - next });
    const twice = await db.query(
      dynamic(sql`select ticket_id from ticket_tokens where generation > 1 group by ticket_id having count(*) > 1`),
    );
    expect(twice).toEqual([]);
  });

  test('a ticket of a transaction that began before the cut-off is waited for and swept', async () => {
    const [before] = await issue({ A: 60 });
    if (before === undefined) throw new Error('no ticket');
    const jobs = world.engine();
    const { run } = await jobs.start('tickets.rotate', { reason: 'leak' }, { actor: 'tester', throttle: noThrottle });
    // As generationsForIssue does it: the mark first, then the generations; it commits long after the cut-off.
    await db.session(async (slow) => {
      await slow.script('begin; lock table token_generations in row share mode');
      await slow.script(
        `insert into tickets select overlay(ticket_id::text placing 'ffffffff' from 25)::uuid, bucket, holder, event, null, null, created_at
           from tickets where ticket_id = '${before.id}';
         insert into ticket_tokens select overlay(ticket_id::text placing 'ffffffff' from 25)::uuid, bucket, 1, new_ticket_token(bucket)
           from tickets where ticket_id = '${before.id}'`,
      );
      const end = jobs.runHere(run.runId, untilStopped());
      await until(async () => /began before the cut-off/.test((await jobs.get(run.runId)).waitReason ?? ''));
      await slow.script('commit');
      expect(await end).toMatchObject({
        state: 'done',
        counts: { issued: 61 },
        result: { in_scope: { tickets: 61, ...zeros } },
      });
    });
    expect(await stored()).toEqual({ 1: 61, 100000: 61 });
  });

  test('two runners at once give each ticket one token', async () => {
    await issue({ A: 300 });
    const [one, two] = [world.engine(), world.engine()];
    const started = await Promise.all(
      [one, two].map((jobs) =>
        jobs.start('tickets.rotate', { reason: 'leak' }, { actor: 'tester', throttle: noThrottle }),
      ),
    );
    expect(new Set(started.map(({ run }) => run.runId)).size).toBe(1);
    expect(started.map(({ replayed }) => replayed).sort()).toEqual([false, true]);
    const runId = started[0]?.run.runId as RunId;
    const ends = await Promise.allSettled([one.runHere(runId, untilStopped()), two.runHere(runId, untilStopped())]);
    expect(ends.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
    expect(await stored()).toEqual({ 1: 300, 100000: 300 });
  });

  test('it is paused from elsewhere, keeps refusing, and another process goes on where it stopped', async () => {
    const old = await issue({ A: 400 });
    const elsewhere = world.engine();
    let batches = 0;
    const paused = await rotate({}, async () => {
      const [open] = await elsewhere.list({ states: ['running'], kind: 'tickets.rotate', limit: 1, after: null });
      if (open !== undefined && ++batches === 3) await elsewhere.pause(open.runId, 'somebody');
    });
    expect(paused.state).toBe('paused');
    const done = Number((await stored())[100_000]);
    expect(done).toBeGreaterThan(0);
    expect(done).toBeLessThan(400);
    expect(await verdicts(old)).toEqual({ token_rotated: 400 });
    await elsewhere.resume(paused.runId, 'somebody');
    const end = await elsewhere.runHere(paused.runId, untilStopped());
    expect(end).toMatchObject({ state: 'done', counts: { issued: 400, left_alone: 0 } });
    expect(await stored()).toEqual({ 1: 400, 100000: 400 });
  });
});

describe('the proof', () => {
  test('fails for a new token that is an old one', async () => {
    const [victim] = await issue({ A: 60 });
    let done = 0;
    const tamper = async () => {
      if (++done === 2)
        await db.query(
          dynamic(sql`update ticket_tokens k set token = o.token from ticket_tokens o
            where k.generation > 1 and o.generation = 1 and o.bucket = k.bucket and o.ticket_id = k.ticket_id`),
        );
    };
    for (const parameters of [{}, { event: 'A' }]) {
      done = 0;
      const run = await rotate(parameters, tamper);
      expect(run).toMatchObject({ state: 'failed', result: { in_scope: { tickets: 60 } } });
      expect(run.error).toMatch(/new tokens are stored more than once/);
      expect(run.error).not.toContain(victim?.token);
      await world.engine().cancel(run.runId, 'tester');
    }
  });

  test('finds a row that was taken away, and the ticket gets a token again', async () => {
    await issue({ A: 120 });
    let batches = 0;
    const takeAway = async () => {
      if (++batches === 2)
        await db.query(
          dynamic(sql`delete from ticket_tokens where (ticket_id, generation) in
            (select ticket_id, generation from ticket_tokens order by generation desc, bucket limit 1)`),
        );
    };
    for (const parameters of [{}, { event: 'A' }]) {
      batches = 0;
      const run = await rotate(parameters, takeAway);
      expect(run).toMatchObject({
        state: 'done',
        counts: { issued: 121 },
        result: { in_scope: { tickets: 120, ...zeros } },
      });
    }
  });

  test('fails when somebody takes the cut-off back', async () => {
    await issue({ A: 60 });
    for (const parameters of [{}, { event: 'A' }]) {
      const run = await rotate(parameters, async () => {
        await db.query(
          dynamic(
            sql`update token_generations set refused_from = 'infinity' where generation > 1 and run_id is not null`,
          ),
        );
      }).catch((error: unknown) => error);
      expect(run).toMatchObject({ state: 'failed' });
      await db.query(dynamic(sql`update token_generations set refused_from = created_at where generation > 1`));
      await world.engine().cancel((run as { runId: RunId }).runId, 'tester');
    }
  });
});

describe('around it', () => {
  test('a cancelled rotation gives no old token back; the next one gives every ticket a token', async () => {
    const old = await issue({ A: 200 });
    const jobs = world.engine();
    const cancelled = await rotate({}, async () => {
      const [open] = await jobs.list({ states: ['running'], kind: 'tickets.rotate', limit: 1, after: null });
      if (open !== undefined) await jobs.cancel(open.runId, 'tester');
    });
    expect(cancelled.state).toBe('cancelled');
    expect(await verdicts(old)).toEqual({ token_rotated: 200 });
    await rotate();
    expect(await verdicts(await reread(old))).toEqual({ valid: 200 });
  });

  test('a rehearsal changes nothing', async () => {
    const old = await issue({ A: 150 });
    const jobs = world.engine();
    const forecast = await jobs.rehearse('tickets.rotate', { reason: 'trying' }, { batches: 2, actor: 'tester' });
    expect(forecast).toMatchObject({ sampledRows: 100, sampledBatches: 2, total: { rows: 150 } });
    expect(await verdicts(old)).toEqual({ valid: 150 });
    expect(await stored()).toEqual({ 1: 150 });
    expect(await jobs.list({ states: [], kind: null, limit: 1, after: null })).toEqual([]);
  });

  test('a cut-off does not wait for a rehearsal under way', async () => {
    const old = await issue({ A: 150 });
    let leak: Awaited<ReturnType<typeof rotate>> | null = null;
    const jobs = world.engine(async () => {
      leak ??= await rotate();
    });
    await jobs.rehearse('tickets.rotate', { reason: 'trying' }, { batches: 2, actor: 'tester' });
    expect(leak).toMatchObject({ state: 'done', retries: 0 });
    expect(await verdicts(old)).toEqual({ token_rotated: 150 });
    expect(await stored()).toEqual({ 1: 150, 100000: 150 });
  });

  test('the audit log says who, why, what and how much, and no token stands anywhere but in ticket_tokens', async () => {
    const old = await issue({ A: 60 });
    const { runId } = await rotate({ reason: 'the backup was stolen', event: 'A' });
    const log = await db.query(
      dynamic<{ actor: string; action: string; subject: string; facts: Record<string, unknown> }>(
        sql`select actor, action, subject, facts from audit_log where action like 'tickets.%' order by recorded_at`,
      ),
    );
    expect(log).toMatchObject([
      {
        actor: 'tester',
        action: 'tickets.rotation.cut_off',
        subject: 'event A',
        facts: { run_id: runId, reason: 'the backup was stolen' },
      },
      {
        actor: 'tester',
        action: 'tickets.rotation.finished',
        facts: { run_id: runId, in_scope: { tickets: 60, ...zeros } },
      },
    ]);
    const kept = await db.query(
      dynamic<{ text: string }>(sql`
        select string_agg(coalesce(t::text, ''), ' ') as text from (
          select a::text as t from audit_log a union all select r::text from milliard_jobs.job_runs r
          union all select g::text from milliard_jobs.job_ranges g union all select g::text from token_generations g) all_rows (t)`),
    );
    for (const { token } of [...old, ...(await reread(old))]) expect(kept[0]?.text).not.toContain(token);
  });

  test('a reason that holds a token is refused', async () => {
    const [leaked] = await issue({ A: 1 });
    await expect(rotate({ reason: `somebody posted ${leaked?.token}` })).rejects.toThrow(/leave the token out/);
  });
});
