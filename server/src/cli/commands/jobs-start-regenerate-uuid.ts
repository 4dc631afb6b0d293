import type { Command } from 'commander';
import { noticesOf, type TargetFacts } from '../../domains/regeneration/regeneration-target.ts';
import { inspectTarget, rowEstimate } from '../../domains/regeneration/regeneration-target-service.ts';
import { displayed } from '../../domains/regeneration/table-name.ts';
import type { JobRun } from '../../jobs/job.ts';
import { ensureJobTables, hasJobTables } from '../../jobs/job-tables.ts';
import type { Jobs } from '../../jobs/jobs.ts';
import type { Database } from '../../storage/database.ts';
import { describedCommand, does } from '../command.ts';
import { confirm, requireConfirmable } from '../confirm.ts';
import { type CliContext, exitCodes, type Run, withApp } from '../context.ts';
import { withForeignDatabase } from '../job-database.ts';
import { type JobOptions, jobExits, readJobOptions, withJobOptions } from '../job-options.ts';
import { countText } from '../job-texts.ts';
import { runJob } from '../run-job.ts';
import { UsageError } from '../stopped.ts';

interface Options extends JobOptions {
  readonly table: string;
  readonly column: string;
  readonly databaseUrl?: string;
  readonly recheck?: boolean;
  readonly forget?: boolean;
  readonly anew?: boolean;
  readonly yes?: boolean;
}

const kind = 'regenerate-uuid';

/** `milliard jobs start regenerate-uuid` */
export const startRegenerateUuidCommand = (context: CliContext): Command =>
  does<Options>(
    withJobOptions(
      describedCommand(kind, {
        description:
          'Replace every UUID in a column of any table, in place, while the table is in use; each row once, whatever is killed. Ends with the proof that no value that was visible at the start is left. NULLs stay. Typed again while it is unfinished, it goes on with the same run.',
        examples: [
          [
            'milliard jobs start regenerate-uuid --table public.tickets --column token',
            'in the database of DATABASE_URL',
          ],
          [
            'milliard jobs start regenerate-uuid --table public.tickets --column token --database-url postgres://db/shop --dry-run',
            'what it would take in another database; nothing is changed',
          ],
          [
            'milliard jobs start regenerate-uuid --table public.tickets --column token --recheck',
            'keep the old values at the end; typed again later, it replaces those that an application wrote back',
          ],
        ],
        exitCodes: jobExits,
      })
        .requiredOption('--table <schema.table>', 'the table, exactly as the catalogue has it, capitals too')
        .requiredOption('--column <name>', 'a column of type uuid, in no key')
        .option(
          '--database-url <url>',
          'the database of the table: PostgreSQL 15 or newer, not necessarily a Milliard database (DATABASE_URL). The run is kept there too, in the schema milliard_jobs',
        )
        .option(
          '--recheck',
          'keep the copy of old values; where an earlier run kept one, look for its values only and replace what came back',
        )
        .option('--forget', 'with --recheck: drop the kept copy at the end')
        .option('--anew', 'with --recheck: replace every value again where the earlier run kept no copy')
        .option('--yes', 'do not ask'),
    ),
    context,
    (run, options) => withTargetDatabase(run, options, (place) => start(run, options, place)),
  );

interface Place {
  readonly db: Database;
  readonly jobs: Jobs;
  /** Milliard's servers look after its runs. */
  readonly isServed: boolean;
}

async function withTargetDatabase(
  run: Run,
  options: Options,
  work: (place: Place) => Promise<number>,
): Promise<number> {
  const { databaseUrl: url, detach = false, forget = false, anew = false, recheck = false } = options;
  if ((forget || anew) && !recheck) throw new UsageError('--forget and --anew go with --recheck.');
  const purpose = `jobs start ${kind}`;
  if (detach && url !== undefined)
    throw new UsageError('--detach leaves the run to servers, and none serves --database-url: leave it out.');
  if (mayAsk(options)) requireConfirmable(run, 'every value of the column would be replaced');
  if (url === undefined) return withApp(run, purpose, ({ db, jobs }) => work({ db, jobs, isServed: true }));
  return withForeignDatabase(run, { url, purpose }, (place) => work({ ...place, isServed: false }));
}

const mayAsk = ({ yes = false, dryRun = false }: Options): boolean => !yes && !dryRun;

async function start(run: Run, options: Options, { db, jobs, isServed }: Place): Promise<number> {
  const facts = await inspectTarget(db, options);
  const { recheck = false, forget = false, anew = false } = options;
  const parameters = { table: displayed(facts), column: facts.column, recheck, forget, anew };
  const jobOptions = readJobOptions(options);
  report(run, facts);
  if (jobOptions.dryRun !== true) {
    const unfinished = await findUnfinished({ db, jobs }, parameters);
    if (unfinished === null && mayAsk(options) && !(await confirm(run, await question(db, facts)))) {
      run.output.note('Nothing was changed.');
      return exitCodes.failed;
    }
    if (unfinished !== null) sayDifference(run, unfinished, parameters);
    if (!isServed) await ensureJobTables(db);
  }
  return runJob(run, jobs, {
    kind,
    parameters,
    ...jobOptions,
    resumeLine: () => 'the same command again',
    onDone: (done) => sayResult(run, done),
  });
}

function report({ output }: Run, facts: TargetFacts): void {
  for (const { text, cure } of noticesOf(facts)) {
    output.warn(text);
    for (const line of cure) output.warn(`    ${line}`);
  }
}

async function question(db: Database, facts: TargetFacts): Promise<string> {
  const rows = await rowEstimate(db, facts);
  return `Replace every value of ${displayed(facts)}.${facts.column} (${rows === null ? 'nobody knows how many' : `about ${countText(rows)}`} rows)? What holds the old ones elsewhere will no longer fit. Type yes: `;
}

const unfinishedStates = ['queued', 'running', 'paused', 'failed', 'cancelling'] as const;

async function findUnfinished(
  { db, jobs }: Pick<Place, 'db' | 'jobs'>,
  { table, column }: { readonly table: string; readonly column: string },
): Promise<JobRun | null> {
  if (!(await hasJobTables(db))) return null;
  const runs = await jobs.list({ states: unfinishedStates, kind, limit: 500, after: null });
  const isSame = (of: unknown) =>
    typeof of === 'object' &&
    of !== null &&
    'table' in of &&
    'column' in of &&
    of.table === table &&
    of.column === column;
  return runs.find(({ parameters }) => isSame(parameters)) ?? null;
}

function sayDifference({ output }: Run, unfinished: JobRun, asked: { readonly recheck: boolean }): void {
  const { parameters } = unfinished;
  const recheck =
    typeof parameters === 'object' && parameters !== null && 'recheck' in parameters && parameters['recheck'];
  if (recheck !== asked.recheck)
    output.warn(
      recheck === true
        ? 'The unfinished run was started with --recheck: it keeps the old values at its end.'
        : 'The unfinished run was started without --recheck: it drops the old values at its end.',
    );
}

function sayResult({ output }: Run, { result, runId }: JobRun): void {
  if (typeof result !== 'object' || result === null || Array.isArray(result)) return;
  const text = (name: string) => String((result as Readonly<Record<string, unknown>>)[name] ?? '');
  output.say(`proof: ${text('proof')}`);
  output.say(`run ${runId}; the copy of the old values: ${text('old_values')}`);
  output.say(`size in MB: table ${text('table_mb')}, indexes ${text('indexes_mb')}`);
  output.say(
    'Every row was written anew, and no index entry could be kept. What gives the room back, while the table is in use:',
  );
  for (const line of text('advice').split(/(?<=;) /)) output.say(`    ${line}`);
}
