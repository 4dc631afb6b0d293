import { z } from 'zod';
import type { HttpDeps, Routes } from '../http-types.ts';
import { jobChanges, jobIdParams } from '../job-query.ts';
import { jobActions, jobSchema, toJobDocument } from '../job-representation.ts';
import { answerSchema } from '../validation.ts';

const noQuery = z.strictObject({});
const tags = ['jobs'];

/** Steering long work: pause, resume, cancel, and what holds it back. */
export function addJobControlRoutes(routes: Routes, deps: HttpDeps): void {
  addActions(routes, deps);
  addChange(routes, deps);
}

const actionTexts = {
  pause: {
    summary: 'Pause a job',
    description: 'The process that works at it stops behind the batch under way. Nothing is lost.',
  },
  resume: { summary: 'Resume a job', description: 'Queues a paused or failed run again: it goes on where it stopped.' },
  cancel: {
    summary: 'Cancel a job',
    description:
      'Ends a run for good. What it has done stays done; `cancelling` until what it made for itself is tidied up.',
  },
} as const;

function addActions(routes: Routes, { app }: HttpDeps): void {
  for (const action of jobActions) {
    routes.post(
      `/jobs/:id/${action}`,
      {
        schema: {
          ...actionTexts[action],
          tags,
          querystring: noQuery,
          params: jobIdParams,
          response: { 200: answerSchema(jobSchema, 'How the run stands now.') },
        },
        config: { scope: 'jobs:write', problems: ['job_not_found', 'job_state_conflict'] },
      },
      async ({ params: { id }, caller: { actor } }) =>
        toJobDocument(
          action === 'resume'
            ? await app.jobs.resume(id, actor, { detached: true })
            : await app.jobs[action](id, actor),
        ),
    );
  }
}

function addChange(routes: Routes, { app }: HttpDeps): void {
  routes.patch(
    '/jobs/:id',
    {
      schema: {
        summary: "Change a job's throttle",
        description: 'Heeded from the next batch on. Fields that are left out stay as they are.',
        tags,
        querystring: noQuery,
        params: jobIdParams,
        body: jobChanges,
        response: { 200: answerSchema(jobSchema, 'The run with its new throttle.') },
      },
      config: {
        scope: 'jobs:write',
        problems: ['job_not_found', 'job_state_conflict', 'unsupported_media_type', 'body_too_large'],
      },
    },
    async (request) =>
      toJobDocument(await app.jobs.setThrottle(request.params.id, request.body.throttle, request.caller.actor)),
  );
}
