import { statement } from '../storage/sql.ts';

const isOld = `r.state in ('done', 'cancelled') and r.finished_at < now() - $2 * interval '1 day' and r.kind = any($1::text[])`;

/** Failed rows of old runs of these kinds, at most so many. */
export const deleteOldRowErrors = statement<
  { deleted: bigint },
  [kinds: readonly string[], keepDays: number, limit: number]
>(
  'job_row_errors_delete_old',
  `with gone as (
     delete from milliard_jobs.job_row_errors where (run_id, position) in (
       select e.run_id, e.position from milliard_jobs.job_runs r join milliard_jobs.job_row_errors e on e.run_id = r.run_id
        where ${isOld} limit $3)
     returning 1)
   select count(*) as deleted from gone`,
  (kinds, keepDays, limit) => [kinds, keepDays, limit],
);

/** Old runs of these kinds that have no failed rows any more, with their ranges, at most so many. */
export const deleteOldRuns = statement<
  { deleted: bigint },
  [kinds: readonly string[], keepDays: number, limit: number]
>(
  'job_runs_delete_old',
  `with gone as (
     delete from milliard_jobs.job_runs where run_id in (
       select r.run_id from milliard_jobs.job_runs r
        where ${isOld} and not exists (select from milliard_jobs.job_row_errors e where e.run_id = r.run_id)
        order by r.run_id limit $3 for update of r skip locked)
     returning 1)
   select count(*) as deleted from gone`,
  (kinds, keepDays, limit) => [kinds, keepDays, limit],
);
