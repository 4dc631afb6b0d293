import type { FastifyReply } from 'fastify';
import { z } from 'zod';
import { DomainError, InvalidInputError } from '../../core/errors.ts';
import type { RunId } from '../../jobs/job.ts';
import type { JobErrorCode } from '../../jobs/job-errors.ts';
import type { Jobs, StartedRun, StartOptions } from '../../jobs/jobs.ts';
import { etagOfText, isKnownTag } from '../etag.ts';
import type { HttpDeps, Routes } from '../http-types.ts';
import { boundTo, jobErrorsQuery, jobIdParams, jobListQuery, jobSearch, newJob } from '../job-query.ts';
import {
  jobErrorPageSchema,
  jobKindsSchema,
  jobPageSchema,
  jobSchema,
  toJobDocument,
  toJobErrorDocument,
  toKindDocument,
} from '../job-representation.ts';
import { scopeOfKind } from '../job-scopes.ts';
import { jsonMediaType } from '../order-representation.ts';
import { decodePlace, encodePlace } from '../place-cursor.ts';
import { idempotencyHeader, idempotencyKeyOf } from '../request-input.ts';
import { answerSchema } from '../validation.ts';

const noQuery = z.strictObject({});
const tags = ['jobs'];
const cursorProblems = ['cursor_malformed', 'cursor_mismatch'] as const;

/** Long work: starting it and looking at it. */
export function addJobRoutes(routes: Routes, deps: HttpDeps): void {
  addKinds(routes, deps);
  addStart(routes, deps);
  addList(routes, deps);
  addRead(routes, deps);
  addErrors(routes, deps);
}

// Beside the typed answers: text that is JSON already, and a 304 that has no body.
const sendJson = (reply: unknown, json: string) => (reply as FastifyReply).type(jsonMediaType).send(json);
const notModified = (reply: unknown) => (reply as FastifyReply).code(304).send();

function addKinds(routes: Routes, { app }: HttpDeps): void {
  routes.get(
    '/job-kinds',
    {
      schema: {
        summary: 'List the kinds of jobs',
        tags,
        querystring: noQuery,
        response: { 200: answerSchema(jobKindsSchema, 'Every kind that this server knows.') },
      },
      config: { scope: 'jobs:read' },
    },
    async () => ({ items: app.jobs.kinds().map(toKindDocument) }),
  );
}

function addStart(routes: Routes, { app }: HttpDeps): void {
  routes.post(
    '/jobs',
    {
      schema: {
        summary: 'Start a job',
        description:
          'Queues a run; a server takes it within 2 s. Beside jobs:write the key needs what single calls of the same effect need: orders:write or tickets:write; admin for regenerate-uuid. A kind says which runs are the same: while one of those is not finished, starting it again answers 200 with that run and `Idempotent-Replayed: true`. A request with the same Idempotency-Key does so for ever, whatever became of the run.',
        tags,
        querystring: noQuery,
        headers: idempotencyHeader,
        body: newJob,
        response: {
          200: answerSchema(
            jobSchema,
            'A run that was there already: unfinished, of the same work, or of the same key.',
          ),
          202: answerSchema(jobSchema, 'The queued run.'),
        },
      },
      config: {
        scope: 'jobs:write',
        problems: [
          'job_kind_unknown',
          'job_refused',
          'job_key_reused',
          'job_not_startable_here',
          'unsupported_media_type',
          'body_too_large',
        ],
      },
    },
    async (request, reply) => {
      const { kind, parameters, throttle } = request.body;
      const requestKey = idempotencyKeyOf(request.headers);
      assertStartableHere(app.jobs, kind);
      if (app.jobs.kinds().some(({ name }) => name === kind)) await request.caller.confirm(scopeOfKind(kind));
      const { run, replayed } = await start(app.jobs, kind, {
        parameters,
        throttle,
        detached: true,
        actor: request.caller.actor,
        ...(requestKey === null ? {} : { requestKey }),
      });
      void reply.code(replayed ? 200 : 202).header('location', `/api/v1/jobs/${run.runId}`);
      if (replayed) void reply.header('idempotent-replayed', 'true');
      return toJobDocument(run);
    },
  );
}

function assertStartableHere(jobs: Jobs, kind: string): void {
  if (jobs.kinds().find(({ name }) => name === kind)?.runsOn !== 'same host') return;
  throw new DomainError<JobErrorCode>(
    'job_not_startable_here',
    `Runs of ${kind} need a file of the machine they are started on. Start one there, with its own command.`,
    { kind },
  );
}

/** @throws as Jobs.start does; pointers lead into the body of the request */
async function start(
  jobs: Jobs,
  kind: string,
  { parameters, ...options }: StartOptions & { readonly parameters: unknown },
): Promise<StartedRun> {
  try {
    return await jobs.start(kind, parameters, options);
  } catch (error) {
    if (!(error instanceof InvalidInputError)) throw error;
    throw new InvalidInputError(error.errors.map((fault) => ({ ...fault, pointer: `/parameters${fault.pointer}` })));
  }
}

function addList(routes: Routes, { app }: HttpDeps): void {
  routes.get(
    '/jobs',
    {
      schema: {
        summary: 'List jobs',
        description: 'Newest first.',
        tags,
        querystring: jobListQuery,
        response: { 200: answerSchema(jobPageSchema, 'A page, and where the next one is (also in the header Link).') },
      },
      config: { scope: 'jobs:read', problems: cursorProblems },
    },
    async ({ query }, reply) => {
      const bound = boundTo(query);
      const after = query.cursor === null ? null : (decodePlace(query.cursor, bound, isRunId) as RunId);
      const { items, last } = pageOf(await app.jobs.list({ ...query, after, limit: query.limit + 1 }), query.limit);
      const cursor = last === null ? null : encodePlace(last.runId, bound);
      const next = cursor === null ? null : `/api/v1/jobs?${jobSearch(query, cursor)}`;
      if (next !== null) void reply.header('link', `<${next}>; rel="next"`);
      return { items: items.map(toJobDocument), next_cursor: cursor, next };
    },
  );
}

const isRunId = (text: string): boolean => jobIdParams.safeParse({ id: text }).success;

/** A page out of one row more than it may have: the last row of it, where more follow. */
function pageOf<Row>(rows: readonly Row[], limit: number): { items: readonly Row[]; last: Row | null } {
  const items = rows.slice(0, limit);
  return { items, last: rows.length > limit ? (items.at(-1) ?? null) : null };
}

function addRead(routes: Routes, { app }: HttpDeps): void {
  routes.get(
    '/jobs/:id',
    {
      schema: {
        summary: 'Read a job',
        description:
          'How the run stands: the same for every reader. Send the ETag as If-None-Match to get 304 while nothing changed; …/events tells of changes by itself.',
        tags,
        querystring: noQuery,
        params: jobIdParams,
        response: { 200: answerSchema(jobSchema, 'The run.') },
      },
      config: { scope: 'jobs:read', problems: ['job_not_found'] },
    },
    async (request, reply) => {
      const json = JSON.stringify(toJobDocument(await app.jobs.get(request.params.id)));
      const etag = etagOfText(json);
      void reply.headers({ etag, 'cache-control': 'private, no-cache' });
      if (isKnownTag(request.headers['if-none-match'], etag)) return notModified(reply);
      return sendJson(reply, json);
    },
  );
}

function addErrors(routes: Routes, { app }: HttpDeps): void {
  routes.get(
    '/jobs/:id/errors',
    {
      schema: {
        summary: "List a job's failed rows",
        description: 'Rows that could not be done, in the order in which they were met.',
        tags,
        querystring: jobErrorsQuery,
        params: jobIdParams,
        response: { 200: answerSchema(jobErrorPageSchema, 'A page, and where the next one is.') },
      },
      config: { scope: 'jobs:read', problems: ['job_not_found', ...cursorProblems] },
    },
    async ({ query, params: { id } }, reply) => {
      const bound = `errors of ${id}`;
      const after =
        query.cursor === null ? 0 : Number(decodePlace(query.cursor, bound, (text) => /^\d{1,15}$/.test(text)));
      await app.jobs.get(id);
      const { items, last } = pageOf(await app.jobs.errors(id, { limit: query.limit + 1, after }), query.limit);
      const cursor = last === null ? null : encodePlace(String(last.position), bound);
      const next = cursor === null ? null : `/api/v1/jobs/${id}/errors?limit=${query.limit}&cursor=${cursor}`;
      if (next !== null) void reply.header('link', `<${next}>; rel="next"`);
      return { items: items.map(toJobErrorDocument), next_cursor: cursor, next };
    },
  );
}
