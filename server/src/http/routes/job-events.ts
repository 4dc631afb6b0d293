import { Readable } from 'node:stream';
import { z } from 'zod';
import type { HttpDeps, Routes } from '../http-types.ts';
import { eventId, isEnd, jobEvents } from '../job-events.ts';
import { jobIdParams } from '../job-query.ts';

/** How a job goes on, as server-sent events. */
export function addJobEventsRoute(routes: Routes, { app, isDraining }: HttpDeps): void {
  routes.get(
    '/jobs/:id/events',
    {
      schema: {
        summary: 'Follow a job',
        description:
          'Server-sent events: `progress` with the run as GET /api/v1/jobs/{id} answers it, at most twice a second; `end` with its last state, after which the stream is closed. A comment every 15 s in which nothing changed. Each event is the whole state, so a reader that was away or is slow misses nothing it needs. Whoever connects again with Last-Event-ID gets 204 when the run has ended and that was told.',
        tags: ['jobs'],
        querystring: z.strictObject({}),
        params: jobIdParams,
        headers: z.looseObject({
          'last-event-id': z.string().optional().meta({ description: 'The id of the last event that was received.' }),
        }),
      },
      config: {
        scope: 'jobs:read',
        streams: true,
        problems: ['job_not_found'],
        streamedAnswer: { 'text/event-stream': z.string() },
      },
      exposeHeadRoute: false,
    },
    async (request, reply) => {
      const { id } = request.params;
      const lastEventId = request.headers['last-event-id'] ?? null;
      const now = await app.jobs.get(id);
      // A browser connects again after every end of a stream, except after 204.
      if (isEnd(now.state) && eventId(now) === lastEventId) return reply.code(204).send();
      const stopping = new AbortController();
      const stop = (): void => stopping.abort();
      reply.raw.once('close', stop);
      const events = jobEvents({
        states: app.jobs.watch(id, stopping.signal),
        lastEventId,
        isDraining,
        confirm: () => request.caller.confirm(),
        stop,
      });
      return reply
        .headers({ 'content-type': 'text/event-stream; charset=utf-8', 'x-accel-buffering': 'no' })
        .send(Readable.from(events, { objectMode: false, highWaterMark: 1 }));
    },
  );
}
