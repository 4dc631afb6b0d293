import type { Command } from 'commander';
import type { App } from '../../app.ts';
import { createUsagePopulateKind, populateKinds, populateMapFields } from '../../domains/usage/usage-populate-jobs.ts';
import type { JobKind, JobRun } from '../../jobs/job.ts';
import { createJobs } from '../../jobs/jobs-service.ts';
import { createDatabase } from '../../storage/database.ts';
import { describedCommand, does } from '../command.ts';
import { type CliContext, exitCodes, type Run, stderrLogger, withApp } from '../context.ts';
import { collected } from '../import-input.ts';
import { type JobOptions, jobExits, readJobOptions, withJobOptions } from '../job-options.ts';
import { type JobOutcome, runJobForOutcome } from '../job-outcome.ts';
import { countText } from '../job-texts.ts';
import { UsageError } from '../stopped.ts';
import { usageDay } from '../usage-days.ts';

interface Options extends JobOptions {
  readonly dataTable?: string;
  readonly voiceTable?: string;
  readonly map?: readonly string[];
  readonly sourceUrl?: string;
  readonly oldest?: string;
}

const help = `
Columns, by the names they have unless --map says otherwise:
  key           the primary key, or any NOT NULL column with a unique index
  subscription  subscription_id or subscription; several with + between give the first that is not null, named:
                --map subscription=att_id+sprint_id makes subscriptions such as att_id:17
  usage_date    usage_date or used_at: a date or timestamp; one without a zone is taken for UTC
  used          kilobytes_used (data), seconds_used (voice), or used
  price         price: any number of at most 6 places
data.FIELD and voice.FIELD name a column of one of the tables: --map data.used=kb,voice.used=secs

Days that take no raw usage yet are opened, at most 800 back and never behind days whose raw rows were dropped; older
records are counted as too old. Their sums are made by adjustments (POST /api/v1/usage/adjustments).`;

/** `milliard usage populate` */
export const usagePopulateCommand = (context: CliContext): Command =>
  does<Options>(
    withJobOptions(
      describedCommand('populate', {
        description:
          'Take over raw usage from existing tables, of this or any other PostgreSQL database, and make its sums. A record is told by its table and key: populating again changes nothing and takes what is new. A job: the same command goes on with one that was stopped or killed.',
        examples: [
          [
            'milliard usage populate --data-table usage_datausagerecord --voice-table usage_voiceusagerecord',
            'tables in the same database',
          ],
          [
            'milliard usage populate --data-table billing.data --source-url postgres://reader@db/telco --map used=kb',
            'a table of another database; its address is stored nowhere',
          ],
        ],
        exitCodes: [[1, 'failed, or not one record could be used'], ...jobExits],
      })
        .option('--data-table <table>', 'raw data usage, in kilobytes; as SQL names it')
        .option('--voice-table <table>', 'raw voice usage, in seconds')
        .option('--map <pairs>', 'field=column,… for columns with other names', collected)
        .option('--source-url <url>', 'the database of the tables, where it is another one')
        .option('--oldest <day>', 'take no raw usage of days before this one')
        .addHelpText('after', help),
    ),
    context,
    populate,
  );

async function populate(run: Run, options: Options): Promise<number> {
  const { dataTable = null, voiceTable = null, sourceUrl, oldest, detach = false } = options;
  if (dataTable === null && voiceTable === null)
    throw new UsageError('Name a table: --data-table, --voice-table, or both.');
  if (detach && sourceUrl !== undefined)
    throw new UsageError('--detach leaves the run to servers, and none knows --source-url: leave it out.');
  const parameters = {
    data_table: dataTable,
    voice_table: voiceTable,
    map: readMap(options.map ?? []),
    oldest: oldest === undefined ? null : usageDay('--oldest', oldest),
    source: sourceUrl === undefined ? null : placeOf(sourceUrl),
  };
  const { exitCode, done } = await withApp(run, 'usage populate', (app) =>
    sourceUrl === undefined
      ? start(run, app.jobs, { options, parameters, kind: populateKinds.here })
      : withSource(run, app, { url: sourceUrl, options, parameters }),
  );
  return done === null ? exitCode : report(run, done);
}

interface Starting {
  readonly options: Options;
  readonly parameters: Readonly<Record<string, unknown>>;
  readonly kind: string;
}

const start = (run: Run, jobs: App['jobs'], { options, parameters, kind }: Starting): Promise<JobOutcome> =>
  runJobForOutcome(run, jobs, {
    kind,
    parameters,
    ...readJobOptions(options),
    resumeLine: () => 'the same command again',
    summary: ({ counts }) => sentence(counts),
    onDone() {},
  });

async function withSource(
  run: Run,
  { config, db, usage }: App,
  { url, ...starting }: Omit<Starting, 'kind'> & { readonly url: string },
): Promise<JobOutcome> {
  const { database } = config;
  const source = createDatabase({
    ...{ ...database, url, statementTimeoutMs: 0, poolSize: 4, readClients: 1 },
    applicationName: 'milliard usage populate (source)',
  });
  try {
    const kind = createUsagePopulateKind({ writer: usage.writer, rollup: usage.rollup, source }) as JobKind;
    const jobs = createJobs({ db, kinds: [kind], logger: stderrLogger(run.output) });
    return await start(run, jobs, { ...starting, kind: kind.name });
  } finally {
    await source.close();
  }
}

/** What may be stored of an address: neither user nor password, nor any setting but the host. @throws UsageError */
function placeOf(url: string): string {
  // Not by URL: it takes no folder of a socket for a host. The value is not repeated: it may hold a password.
  const match = /^postgres(?:ql)?:\/\/(?:[^/?]*@)?((?:\[[^\]@]*\]|[^/?@:]*)(?::\d+)?)(\/[^?@]*)?(?:\?([^@]*))?$/.exec(
    url,
  );
  if (match === null) throw new UsageError('--source-url must be an address such as postgres://user@host/database.');
  const [, named = '', database = '', settings = ''] = match;
  const host = named || new URLSearchParams(settings).get('host') || 'localhost';
  return `${host}${database}`;
}

/** @throws UsageError */
function readMap(texts: readonly string[]): Record<string, string> {
  const map: Record<string, string> = {};
  for (const pair of texts.flatMap((text) => text.split(','))) {
    const [field = '', column = '', ...more] = pair.split('=').map((part) => part.trim());
    if (field === '' || column === '' || more.length > 0)
      throw new UsageError(`--map has "${pair.trim()}": give field=column, for example used=kilobytes.`);
    if (!populateMapFields.includes(field))
      throw new UsageError(`--map: a record has no field "${field}". The fields are: ${populateMapFields.join(', ')}.`);
    if (map[field] !== undefined)
      throw new UsageError(`--map gives ${field} two columns: ${map[field]} and ${column}.`);
    map[field] = column;
  }
  return map;
}

function sentence(counts: JobRun['counts']): string {
  const { records_created = 0, records_replayed = 0, records_rejected = 0, records_too_old = 0 } = counts;
  return (
    `${countText(records_created)} records taken over, ${countText(records_replayed)} there already, ` +
    `${countText(records_rejected)} rejected, ${countText(records_too_old)} too old.`
  );
}

async function report({ output }: Run, { counts, result }: JobRun): Promise<number> {
  const { records_created = 0, records_replayed = 0, records_rejected = 0, records_too_old = 0 } = counts;
  const { first_rejected: first } = result as {
    readonly first_rejected: readonly { readonly record: string; readonly code: string; readonly detail: string }[];
  };
  for (const { record, code, detail } of first) output.warn(`${record}: ${code}: ${detail}`);
  await output.record({ records_created, records_replayed, records_rejected, records_too_old, first_rejected: first });
  const used = records_created + records_replayed;
  return used === 0 && records_rejected + records_too_old > 0 ? exitCodes.failed : exitCodes.done;
}
