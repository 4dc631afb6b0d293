import { validate as isUuid } from 'uuid';
import { z } from 'zod';
import { storableText } from '../core/validation.ts';
import { type JobState, type JobThrottle, jobStates, type RunId } from '../jobs/job.ts';
import { throttleFields } from './job-representation.ts';
import { parameter, text, wholeNumber } from './query-parameters.ts';

const isState = (value: string): value is JobState => (jobStates as readonly string[]).includes(value);

const states = parameter(
  (value, refuse): readonly JobState[] => {
    const words = value.split(',');
    return words.every(isState)
      ? [...new Set(words)]
      : refuse(`must be one or several of ${jobStates.join(', ')}, with commas between`);
  },
  {
    type: 'string',
    description: `One or several of ${jobStates.join(', ')}, with commas between.`,
    'x-examples': ['queued,running'],
  },
);

const defaultLimit = 50;
const paging = {
  limit: wholeNumber([1, 500], `Rows a page; ${defaultLimit} unless given.`),
  cursor: text(500, 'The next_cursor of the page before.'),
};

/** What a list of runs is asked for. */
export interface JobListQuery {
  readonly states: readonly JobState[];
  readonly kind: string | null;
  readonly limit: number;
  readonly cursor: string | null;
}

/** GET /jobs */
export const jobListQuery = z
  .strictObject({ state: states, kind: text(100, 'Runs of this kind.'), ...paging })
  .transform(
    ({ state, kind, limit, cursor }): JobListQuery => ({
      states: state ?? [],
      kind: kind ?? null,
      limit: limit ?? defaultLimit,
      cursor: cursor ?? null,
    }),
  );

/** GET /jobs/{id}/errors */
export const jobErrorsQuery = z
  .strictObject(paging)
  .transform(({ limit, cursor }) => ({ limit: limit ?? defaultLimit, cursor: cursor ?? null }));

/** The query as a URL carries it, for `next`: always in the same order, defaults left out. */
export function jobSearch({ states: selected, kind, limit }: Omit<JobListQuery, 'cursor'>, cursor: string): string {
  const search = new URLSearchParams();
  if (selected.length > 0) search.set('state', selected.join(','));
  if (kind !== null) search.set('kind', kind);
  if (limit !== defaultLimit) search.set('limit', String(limit));
  search.set('cursor', cursor);
  return search.toString().replaceAll('%2C', ',');
}

/** What a cursor of a list of runs is bound to. */
export const boundTo = ({ states: selected, kind }: JobListQuery): string =>
  JSON.stringify(['jobs', [...selected].sort(), kind]);

export const jobIdParams = z.strictObject({
  id: z
    .string()
    .transform((value, context): RunId => {
      if (isUuid(value)) return value.toLowerCase() as RunId;
      context.addIssue({ code: 'custom', message: 'is not the id of a run. GET /api/v1/jobs lists them.' });
      return z.NEVER;
    })
    .meta({ format: 'uuid' }),
});

const partialThrottle = z.strictObject(throttleFields).partial();
type ThrottleDocument = z.output<typeof partialThrottle>;

function toThrottle(document: ThrottleDocument): Partial<JobThrottle> {
  const { rows_per_second, max_replica_lag_ms, max_archive_backlog_segments, yields_to_vacuum } = document;
  return {
    ...(rows_per_second === undefined ? {} : { rowsPerSecond: rows_per_second }),
    ...(max_replica_lag_ms === undefined ? {} : { maxReplicaLagMs: max_replica_lag_ms }),
    ...(max_archive_backlog_segments === undefined ? {} : { maxArchiveBacklogSegments: max_archive_backlog_segments }),
    ...(yields_to_vacuum === undefined ? {} : { yieldsToVacuum: yields_to_vacuum }),
  };
}

/** POST /jobs */
export const newJob = z
  .strictObject({
    kind: storableText(100).meta({ description: 'One of GET /api/v1/job-kinds.' }),
    parameters: z.looseObject({}).optional().meta({ description: 'What the kind asks for.' }),
    throttle: partialThrottle.optional().meta({ description: 'Where the run shall wait otherwise than it would.' }),
  })
  .transform(({ kind, parameters = {}, throttle = {} }) => ({ kind, parameters, throttle: toThrottle(throttle) }))
  .meta({
    id: 'NewJob',
    'x-examples': [
      { kind: 'tickets.rotate', parameters: { reason: 'leaked backup' }, throttle: { rows_per_second: 5_000 } },
    ],
  });

/** PATCH /jobs/{id} */
export const jobChanges = z
  .strictObject({
    throttle: partialThrottle.refine((document) => Object.keys(document).length > 0, {
      error: 'must have at least one field',
    }),
  })
  .transform(({ throttle }) => ({ throttle: toThrottle(throttle) }))
  .meta({ id: 'JobChanges', 'x-examples': [{ throttle: { rows_per_second: null } }] });
