import { describe, expect, test } from 'vitest';
import type { RunId } from '../jobs/job.ts';
import { jobRefused } from '../jobs/job-errors.ts';
import { openTestApi } from '../testing/test-api.ts';
import { countingKind, createNumbers, createTestJobs, poison, stopAtEnd, until } from '../testing/test-jobs.ts';

const refuse = () => Promise.reject(jobRefused('The table has no primary key.', { table: 'numbers' }));
const { server, app, key } = await openTestApi({
  mode: 'serve',
  authentication: 'required',
  jobs: (db) =>
    createTestJobs(db, {
      kinds: [
        countingKind(),
        countingKind({}, { name: 'test.file', runsOn: 'same host' }),
        countingKind({}, { name: 'test.refusing', check: refuse }),
      ],
    }),
});
const { fastify } = server;
const signal = stopAtEnd();
const readKey = await key('jobs:read');
const writeKey = await key('jobs:read', 'jobs:write', 'admin');
const ticketsKey = await key('jobs:write', 'tickets:write');
await createNumbers(app.db, 200);

interface Call {
  readonly body?: unknown;
  readonly text?: string;
  readonly headers?: Record<string, string>;
}
const bearer = (text: string) => ({ authorization: `Bearer ${text}` });
const call = (method: 'GET' | 'POST' | 'PATCH', url: string, { body, text, headers = {} }: Call = {}) => {
  const payload = text ?? (body === undefined ? undefined : JSON.stringify(body));
  return fastify.inject({
    method,
    url,
    headers: {
      ...bearer(writeKey),
      ...(payload === undefined ? {} : { 'content-type': 'application/json' }),
      ...headers,
    },
    ...(payload === undefined ? {} : { payload }),
  });
};

test('/metrics counts unfinished runs', async () => {
  const runId = await start();
  const queued = 'milliard_job_runs{kind="test.count",state="queued"}';
  expect((await fastify.inject('/metrics')).body).toContain(`${queued} 1`);
  await app.jobs.cancel(runId, 'me');
  expect((await fastify.inject('/metrics')).body).toContain(`${queued} 0`);
});

let keys = 0;
/** Starts a run of its own. */
async function start(throttle: object = {}): Promise<RunId> {
  const answer = await call('POST', '/api/v1/jobs', {
    body: { kind: 'test.count', parameters: { key: `k${keys++}` }, throttle },
  });
  expect(answer.statusCode, answer.body).toBe(202);
  return answer.json().run_id;
}
const work = (runId: RunId) => app.jobs.runHere(runId, { signal, whenStopped: 'release' });

describe('POST /api/v1/jobs', () => {
  test('queues a run and says where it is', async () => {
    const answer = await call('POST', '/api/v1/jobs', {
      body: {
        kind: 'test.count',
        parameters: { key: 'new' },
        throttle: { rows_per_second: 50, yields_to_vacuum: false },
      },
    });
    const job = answer.json();
    expect([answer.statusCode, answer.headers['location']]).toEqual([202, `/api/v1/jobs/${job.run_id}`]);
    expect(answer.headers['idempotent-replayed']).toBeUndefined();
    expect(job).toMatchObject({
      kind: 'test.count',
      state: 'queued',
      parameters: { key: 'new', ranges: 1 },
      actor: `key:${writeKey.split('_')[1]}`,
      throttle: { rows_per_second: 50, yields_to_vacuum: false },
      allowed_actions: ['pause', 'cancel'],
      done_rows: 0,
      owner: null,
    });
    expect((await call('GET', `/api/v1/jobs/${job.run_id}`)).json()).toEqual(job);
  });

  test('finds the unfinished run of the same work, and begins anew when it has ended', async () => {
    const body = { kind: 'test.count', parameters: { key: 'same' } };
    const first = await call('POST', '/api/v1/jobs', { body });
    const again = await call('POST', '/api/v1/jobs', { body });
    expect([again.statusCode, again.headers['idempotent-replayed']]).toEqual([200, 'true']);
    expect(again.headers['location']).toBe(first.headers['location']);
    await call('POST', `${first.headers['location']}/cancel`);
    const anew = await call('POST', '/api/v1/jobs', { body });
    expect([anew.statusCode, anew.json().run_id === first.json().run_id]).toEqual([202, false]);
  });

  test('asks for the scope that single calls of the same effect need', async () => {
    const started = (kind: string) =>
      call('POST', '/api/v1/jobs', { body: { kind, parameters: { key: 'scoped' } }, headers: bearer(ticketsKey) });
    expect((await started('test.count')).json()).toMatchObject({ code: 'forbidden', scope: 'admin' });
    // Allowed, and then not known here.
    expect((await started('tickets.rotate')).json()).toMatchObject({ code: 'job_kind_unknown' });
  });

  test('finds the run of the same Idempotency-Key whatever became of it, also for two at once', async () => {
    const headers = { 'idempotency-key': 'once' };
    const body = { kind: 'test.count', parameters: { key: 'keyed' } };
    const both = await Promise.all([0, 1].map(() => call('POST', '/api/v1/jobs', { body, headers })));
    expect(both.map(({ statusCode }) => statusCode).sort()).toEqual([200, 202]);
    expect(new Set(both.map((answer) => answer.json().run_id)).size).toBe(1);
    const location = both[0]?.headers['location'];
    await call('POST', `${location}/cancel`);
    const again = await call('POST', '/api/v1/jobs', { body, headers });
    expect([again.statusCode, again.headers['location'], again.json().state]).toEqual([200, location, 'cancelled']);
    const other = await call('POST', '/api/v1/jobs', {
      body: { kind: 'test.count', parameters: { key: 'another' } },
      headers,
    });
    expect([other.statusCode, other.json().code]).toEqual([422, 'job_key_reused']);
  });

  test('is taken by a server, which ends it', async () => {
    const runId = await start();
    const stopping = new AbortController();
    const serving = app.jobs.serve({ signal: stopping.signal, concurrency: 1 });
    await until(async () => (await call('GET', `/api/v1/jobs/${runId}`)).json().state === 'done');
    stopping.abort();
    await serving;
    expect((await call('GET', `/api/v1/jobs/${runId}`)).json()).toMatchObject({
      percent: 100,
      done_rows: 200,
      counts: { counted: 200 },
      total: { rows: 200, precision: 'exact' },
      allowed_actions: [],
      result: expect.any(Object),
      finished_at: expect.any(String),
    });
  });

  test.each<[unknown, string]>([
    [{}, '/kind'],
    [{ kind: 5 }, '/kind'],
    [{ kind: '' }, '/kind'],
    [{ kind: 'test.count\u0000' }, '/kind'],
    [{ kind: 'test.count', more: 1 }, '/more'],
    [{ kind: 'test.count', parameters: [1] }, '/parameters'],
    [{ kind: 'test.count', parameters: { ranges: 0 } }, '/parameters/ranges'],
    [{ kind: 'test.count', parameters: { rangs: 1 } }, '/parameters/rangs'],
    [{ kind: 'test.count', throttle: { rows_per_second: 0 } }, '/throttle/rows_per_second'],
    [{ kind: 'test.count', throttle: { rows_per_second: '5' } }, '/throttle/rows_per_second'],
    [{ kind: 'test.count', throttle: { max_replica_lag_ms: 1.5 } }, '/throttle/max_replica_lag_ms'],
    [{ kind: 'test.count', throttle: { max_archive_backlog_segments: -1 } }, '/throttle/max_archive_backlog_segments'],
    [{ kind: 'test.count', throttle: { yields_to_vacuum: null } }, '/throttle/yields_to_vacuum'],
    [{ kind: 'test.count', throttle: { rate: 1 } }, '/throttle/rate'],
    [[], ''],
  ])('refuses %j and says where', async (body, pointer) => {
    const answer = await call('POST', '/api/v1/jobs', { body });
    expect([answer.statusCode, answer.json().errors?.[0]?.pointer]).toEqual([400, pointer]);
  });

  test('refuses what is no JSON, no JSON media type, or has a query', async () => {
    const json = { 'content-type': 'application/json' };
    expect((await call('POST', '/api/v1/jobs', { text: '{' })).json()).toMatchObject({ code: 'malformed_json' });
    expect(
      (await call('POST', '/api/v1/jobs', { text: 'x', headers: { 'content-type': 'text/plain' } })).statusCode,
    ).toBe(415);
    expect(
      (await call('POST', '/api/v1/jobs?dry_run=1', { body: { kind: 'test.count' }, headers: json })).statusCode,
    ).toBe(400);
  });

  test.each([
    ['test.unknown', 404, 'job_kind_unknown'],
    ['test.file', 422, 'job_not_startable_here'],
    ['test.refusing', 422, 'job_refused'],
  ])('answers for %s %i %s', async (kind, status, code) => {
    const answer = await call('POST', '/api/v1/jobs', { body: { kind } });
    expect(answer.json()).toMatchObject({ status, code, type: `/problems/${code}` });
    expect(answer.statusCode).toBe(status);
    expect((await call('GET', `/api/v1/jobs?kind=${kind}`)).json().items).toEqual([]);
  });
});

test('the kinds say what they are and who can start them', async () => {
  expect((await call('GET', '/api/v1/job-kinds')).json().items).toEqual([
    { name: 'test.count', title: 'count every row once', runs_on: 'anyone' },
    { name: 'test.file', title: 'count every row once', runs_on: 'same host' },
    { name: 'test.refusing', title: 'count every row once', runs_on: 'anyone' },
  ]);
});

describe('scopes', () => {
  const id = '0197c0b9-3e00-7a5c-9f3e-5d2f8c1b7a60';
  const reads = ['/job-kinds', '/jobs', `/jobs/${id}`, `/jobs/${id}/errors`, `/jobs/${id}/events`];
  const writes = ['/jobs', `/jobs/${id}/pause`, `/jobs/${id}/resume`, `/jobs/${id}/cancel`];

  test('jobs:read opens what reads, and nothing else', async () => {
    for (const path of reads) {
      const url = `/api/v1${path}`;
      expect([200, 404], path).toContain((await call('GET', url, { headers: bearer(readKey) })).statusCode);
      expect((await call('GET', url, { headers: { authorization: '' } })).statusCode, path).toBe(401);
    }
    const refused = { status: 403, code: 'forbidden', scope: 'jobs:write' };
    for (const path of writes) {
      const answer = await call('POST', `/api/v1${path}`, { body: { kind: 'test.count' }, headers: bearer(readKey) });
      expect(answer.json(), path).toMatchObject(refused);
    }
    const patched = await call('PATCH', `/api/v1/jobs/${id}`, { body: { throttle: {} }, headers: bearer(readKey) });
    expect(patched.json()).toMatchObject(refused);
  });

  test('keys for orders open none of it', async () => {
    const headers = bearer(await key('orders:read', 'orders:write'));
    for (const path of reads)
      expect((await call('GET', `/api/v1${path}`, { headers })).json(), path).toMatchObject({ scope: 'jobs:read' });
  });
});

describe('GET /api/v1/jobs/{id}', () => {
  test('answers 304 to who knows it already, until it changes', async () => {
    const runId = await start();
    const first = await call('GET', `/api/v1/jobs/${runId}`);
    const etag = String(first.headers['etag']);
    expect(etag).toMatch(/^"[\w-]{22}"$/);
    const known = await call('GET', `/api/v1/jobs/${runId}`, { headers: { 'if-none-match': `W/${etag}` } });
    expect([known.statusCode, known.body, known.headers['etag']]).toEqual([304, '', etag]);
    await call('POST', `/api/v1/jobs/${runId}/pause`);
    const changed = await call('GET', `/api/v1/jobs/${runId}`, { headers: { 'if-none-match': etag } });
    expect([changed.statusCode, changed.json().state]).toEqual([200, 'paused']);
  });

  test.each(['', '/errors', '/events'])('tells an id that is none from one that nobody has: …%s', async (path) => {
    expect((await call('GET', `/api/v1/jobs/x${path}`)).json()).toMatchObject({
      status: 400,
      errors: [{ pointer: '/path/id' }],
    });
    const unknown = '0197c0b9-3e00-7a5c-9f3e-5d2f8c1b7a60';
    const answer = await call('GET', `/api/v1/jobs/${unknown}${path}`);
    expect(answer.json()).toMatchObject({ status: 404, code: 'job_not_found', run_id: unknown });
  });
});

describe('pausing, resuming and cancelling', () => {
  const act = async (runId: RunId, action: string) => {
    const answer = await call('POST', `/api/v1/jobs/${runId}/${action}`);
    const { state, code, allowed } = answer.json();
    return answer.statusCode === 200 ? state : { status: answer.statusCode, code, state, allowed };
  };
  const conflict = (state: string, allowed: readonly string[]) => ({
    status: 409,
    code: 'job_state_conflict',
    state,
    allowed,
  });

  test('lead from state to state, and what a state does not allow is 409 with what it does', async () => {
    const runId = await start();
    expect(await act(runId, 'resume')).toEqual(conflict('queued', ['pause', 'cancel']));
    expect(await act(runId, 'pause')).toBe('paused');
    expect(await act(runId, 'pause')).toEqual(conflict('paused', ['resume', 'cancel']));
    expect(await act(runId, 'resume')).toBe('queued');
    expect(await act(runId, 'cancel')).toBe('cancelled');
    for (const action of ['pause', 'resume', 'cancel'])
      expect(await act(runId, action)).toEqual(conflict('cancelled', []));
  });

  test('reach the process that works at it', async () => {
    await createNumbers(app.db, 5_000);
    const runId = await start({ rows_per_second: 200 });
    const working = work(runId);
    await until(async () => (await call('GET', `/api/v1/jobs/${runId}`)).json().done_rows > 0);
    expect(await act(runId, 'pause')).toBe('paused');
    expect((await working).state).toBe('paused');
    expect(await act(runId, 'resume')).toBe('queued');
    const again = work(runId);
    await until(async () => (await call('GET', `/api/v1/jobs/${runId}`)).json().fence === 2);
    expect(['cancelling', 'cancelled']).toContain(await act(runId, 'cancel'));
    expect((await again).state).toBe('cancelled');
    await createNumbers(app.db, 200);
  });

  test('of an id that nobody has is 404', async () => {
    for (const action of ['pause', 'resume', 'cancel']) {
      const answer = await call('POST', `/api/v1/jobs/0197c0b9-3e00-7a5c-9f3e-5d2f8c1b7a60/${action}`);
      expect(answer.json()).toMatchObject({ status: 404, code: 'job_not_found' });
    }
  });
});

describe('PATCH /api/v1/jobs/{id}', () => {
  test('changes what it names and leaves the rest', async () => {
    const runId = await start({ rows_per_second: 50, max_replica_lag_ms: 1_000 });
    const url = `/api/v1/jobs/${runId}`;
    const changed = await call('PATCH', url, { body: { throttle: { rows_per_second: null } } });
    expect(changed.json().throttle).toMatchObject({ rows_per_second: null, max_replica_lag_ms: 1_000 });
    expect((await call('GET', url)).json()).toEqual(changed.json());
  });

  test.each<[unknown, string]>([
    [{}, '/throttle'],
    [{ throttle: {} }, '/throttle'],
    [{ throttle: { rows_per_second: -1 } }, '/throttle/rows_per_second'],
    [{ throttle: { speed: 1 } }, '/throttle/speed'],
    [{ state: 'paused' }, '/throttle'],
  ])('refuses %j and says where', async (body, pointer) => {
    const answer = await call('PATCH', `/api/v1/jobs/${await start()}`, { body });
    expect([answer.statusCode, answer.json().errors?.[0]?.pointer]).toEqual([400, pointer]);
  });

  test('of a run that has ended is 409', async () => {
    const runId = await start();
    await call('POST', `/api/v1/jobs/${runId}/cancel`);
    const answer = await call('PATCH', `/api/v1/jobs/${runId}`, { body: { throttle: { rows_per_second: 5 } } });
    expect(answer.json()).toMatchObject({ status: 409, code: 'job_state_conflict', state: 'cancelled', allowed: [] });
  });
});

describe('GET /api/v1/jobs', () => {
  const walk = async (url: string): Promise<string[]> => {
    const ids: string[] = [];
    for (let next: string | null = url; next !== null; ) {
      const answer = await call('GET', next);
      expect(answer.statusCode, answer.body).toBe(200);
      const page = answer.json();
      ids.push(...page.items.map(({ run_id }: { run_id: string }) => run_id));
      expect(answer.headers['link']).toBe(page.next === null ? undefined : `<${page.next}>; rel="next"`);
      next = page.next;
    }
    return ids;
  };

  test('walks all runs newest first, page by page, and those of some states or of a kind', async () => {
    const own: string[] = [];
    for (let i = 0; i < 5; i++) own.push(await start());
    await call('POST', `/api/v1/jobs/${own[1]}/pause`);
    await call('POST', `/api/v1/jobs/${own[3]}/pause`);
    const all = await walk('/api/v1/jobs?limit=2');
    expect(all.slice(0, 5)).toEqual([...own].reverse());
    expect(await walk('/api/v1/jobs?limit=500')).toEqual(all);
    const paused = await walk('/api/v1/jobs?state=paused&limit=1');
    expect(paused.slice(0, 2)).toEqual([own[3], own[1]]);
    expect(await walk('/api/v1/jobs?state=paused,queued&kind=test.count&limit=3')).toEqual(
      expect.arrayContaining([...own].reverse()),
    );
    expect(await walk('/api/v1/jobs?kind=test.file')).toEqual([]);
  });

  test('refuses a cursor of another query', async () => {
    const { next_cursor } = (await call('GET', '/api/v1/jobs?limit=1')).json();
    expect((await call('GET', `/api/v1/jobs?limit=2&cursor=${next_cursor}`)).statusCode).toBe(200);
    const refused = async (search: string) => (await call('GET', `/api/v1/jobs?${search}`)).json().code;
    expect(await refused(`state=paused&cursor=${next_cursor}`)).toBe('cursor_mismatch');
    expect(await refused(`kind=test.count&cursor=${next_cursor}`)).toBe('cursor_mismatch');
    expect(await refused('cursor=nonsense')).toBe('cursor_malformed');
  });

  test.each([
    ['state=stopped', '/query/state'],
    ['state=', '/query/state'],
    ['limit=0', '/query/limit'],
    ['limit=501', '/query/limit'],
    ['kind=', '/query/kind'],
    ['page=1', '/query/page'],
  ])('refuses ?%s and says where', async (search, pointer) => {
    const answer = await call('GET', `/api/v1/jobs?${search}`);
    expect([answer.statusCode, answer.json().errors?.[0]?.pointer]).toEqual([400, pointer]);
  });
});

describe('GET /api/v1/jobs/{id}/errors', () => {
  test('pages through the rows that could not be done, and through no other run', async () => {
    await createNumbers(app.db, 200);
    await poison(app.db, 7, 70, 170);
    const runId = await start();
    expect(await work(runId)).toMatchObject({ state: 'done', failedRows: 3 });
    const url = `/api/v1/jobs/${runId}/errors`;
    const whole = (await call('GET', url)).json();
    expect(whole).toMatchObject({ next: null, next_cursor: null });
    expect(whole.items.map(({ row_key }: { row_key: string }) => row_key)).toEqual(['7', '70', '170']);
    expect(whole.items[0]).toEqual({
      row_key: '7',
      code: '23514',
      detail: expect.any(String),
      recorded_at: expect.stringMatching(/Z$/),
    });
    const first = (await call('GET', `${url}?limit=2`)).json();
    const second = (await call('GET', first.next)).json();
    expect([...first.items, ...second.items]).toEqual(whole.items);
    expect(second.next).toBeNull();
    const other = await start();
    expect((await call('GET', `/api/v1/jobs/${other}/errors`)).json().items).toEqual([]);
    expect((await call('GET', `/api/v1/jobs/${other}/errors?cursor=${first.next_cursor}`)).json()).toMatchObject({
      code: 'cursor_mismatch',
    });
    await createNumbers(app.db, 200);
  });
});
