import { hash } from 'node:crypto';
import { z } from 'zod';
import { type Day, parseDay } from '../../core/days.ts';
import type { JobContext, JobKind, JobTotal, JobWork } from '../../jobs/job.ts';
import { jobRefused } from '../../jobs/job-errors.ts';
import type { Database } from '../../storage/database.ts';
import type { Rollup } from './rollup-service.ts';
import type { RecordRejection } from './usage.ts';
import { inspectSource, populateFields, type SourceRows, type SourceTable } from './usage-populate-source-service.ts';
import type { ReadRecords, UsageWriter } from './usage-writer-service.ts';

const tableName = z.string().min(1).max(300).nullable().default(null);

const populateParameters = z.strictObject({
  data_table: tableName.meta({ description: 'The table of data usage, as SQL names it.' }),
  voice_table: tableName.meta({ description: 'The table of voice usage, as SQL names it.' }),
  map: z.record(z.string(), z.string()).default({}).meta({
    description: 'Field -> column: key, subscription, usage_date, used, price; data.used and the like for one table.',
  }),
  oldest: z
    .string()
    .nullable()
    .default(null)
    .refine((text) => text === null || parseDay(text) !== null, { error: 'must be a day, e.g. 2026-01-31' })
    .meta({ description: 'Raw usage of days before it is not taken; null = as far back as can be.' }),
  source: z.string().nullable().default(null).meta({
    description: 'Where the other database is, for people: host, port and name. null = this one.',
  }),
});
export type PopulateParameters = z.output<typeof populateParameters>;

type KeptRejection = Readonly<{ record: string; code: string; detail: string }>;

/** How far a table was read. The first refusals travel with it. */
type PopulateCursor = Readonly<{ table: number; key: string | null; rejected: readonly KeptRejection[] }>;

interface PopulatePlan {
  readonly records: ReadRecords;
}

export interface UsagePopulateDeps {
  readonly writer: UsageWriter;
  readonly rollup: Pick<Rollup, 'once'>;
  /** Another database that holds the tables; left out = the tables are in this one. */
  readonly source?: Database;
}

export const populateKinds = { here: 'usage.populate', elsewhere: 'usage.populate-from' } as const;

/** The fields that a map may name. */
export const populateMapFields: readonly string[] = Object.keys(populateFields).flatMap((field) => [
  field,
  `data.${field}`,
  `voice.${field}`,
]);

/**
 * Takes over the raw usage of two tables. A record is told by its table and key: populating again changes nothing. The run of
 * another database is a kind of its own that no server knows: its address, which may hold a password, is stored nowhere, so
 * that only the command that has it can go on.
 */
export const createUsagePopulateKind = (
  deps: UsagePopulateDeps,
): JobKind<PopulateParameters, PopulateCursor, PopulatePlan> => ({
  name: deps.source === undefined ? populateKinds.here : populateKinds.elsewhere,
  title: 'take over raw usage from existing tables',
  parameters: populateParameters,
  runsOn: 'anyone',
  batchRows: { initial: 5_000, min: 500, max: 20_000 },
  // Rows that are no good are rejected and told with their keys.
  maxRowErrors: 0,
  tables: () => ['usage_records'],
  uniqueKey: (parameters) => hash('sha256', JSON.stringify(parameters), 'hex'),
  async check({ db, parameters }) {
    if ((parameters.source === null) !== (deps.source === undefined))
      throw jobRefused(
        'Tables of another database are taken over by the command: milliard usage populate --source-url URL.',
      );
    await inspectAll(deps.source ?? db, parameters);
  },
  open: async (context) => populateWork(deps, context, await inspectAll(deps.source ?? context.db, context.parameters)),
});

async function inspectAll(source: Database, parameters: PopulateParameters): Promise<SourceTable[]> {
  const { data_table: data, voice_table: voice, map } = parameters;
  const unknown = Object.keys(map).find((field) => !populateMapFields.includes(field));
  if (unknown !== undefined)
    throw jobRefused(`The map names a field ${unknown}. Known: ${Object.keys(populateFields).join(', ')}.`);
  const tables = [
    ...(data === null ? [] : [{ table: data, usageType: 'data' as const, map }]),
    ...(voice === null ? [] : [{ table: voice, usageType: 'voice' as const, map }]),
  ];
  if (tables.length === 0) throw jobRefused('Name the table of data usage, the one of voice usage, or both.');
  return Promise.all(tables.map((table) => inspectSource(source, table)));
}

const keptRejections = 20;

function populateWork(
  { writer, rollup }: UsagePopulateDeps,
  { parameters, actor, rehearsal }: JobContext<PopulateParameters>,
  tables: readonly SourceTable[],
): JobWork<PopulateCursor, PopulatePlan> {
  const oldest = parameters.oldest === null ? null : parseDay(parameters.oldest);
  const readers = tables.map(createReader);
  const kept = new Map<number, readonly KeptRejection[]>();
  const beginning = (table: number): PopulateCursor => ({ table, key: null, rejected: [] });
  const openDaysOf = async ({ firstDay }: SourceRows): Promise<void> => {
    if (firstDay !== null && !rehearsal) await writer.openDays(Math.max(firstDay, oldest ?? firstDay) as Day);
  };
  return {
    total: async () => (await Promise.all(tables.map((table) => table.total()))).reduce(added),
    // Both tables at once.
    ranges: async () => tables.map((_, table) => ({ from: beginning(table), to: beginning(table) })),
    async plan(_tx, { after, rows }) {
      const at = after ?? beginning(0);
      kept.set(at.table, at.rejected);
      const page = await readers[at.table]?.after(at.key, rows);
      if (page === undefined || page === null) return null;
      await openDaysOf(page);
      await writer.giveWay();
      const records = writer.read(page.bytes, 'csv');
      const rejected = withKeys(page.bytes, records.parts.flatMap((part) => part.rejected).slice(0, keptRejections));
      return {
        rows: Math.min(page.rows, rows),
        cursor: { ...at, key: page.key, rejected: [...at.rejected, ...rejected].slice(0, keptRejections) },
        plan: { records },
        rowKey: `the rows of ${tables[at.table]?.name} behind ${at.key ?? 'the beginning'}`,
      };
    },
    async apply(tx, { plan: { records } }) {
      const { accepted, duplicates, rejected } = await writer.writeIn(tx, records, actor);
      const tooOld = rejected.filter(({ code }) => code === 'too_old').length;
      return {
        counts: {
          records_created: accepted,
          records_replayed: duplicates,
          records_rejected: rejected.length - tooOld,
          records_too_old: tooOld,
        },
      };
    },
    async finish() {
      await rollup.once();
      return { kind: 'done', result: { first_rejected: tables.flatMap((_, table) => kept.get(table) ?? []) } };
    },
  };
}

const added = (a: JobTotal, b: JobTotal): JobTotal => ({
  rows: a.rows + b.rows,
  precision: a.precision === 'exact' && b.precision === 'exact' ? 'exact' : 'estimate',
});

/** Reads a table page by page; while one page is written the next one is read. */
function createReader(table: SourceTable) {
  let ahead: { readonly after: string; readonly limit: number; readonly page: Promise<SourceRows | null> } | null =
    null;
  return {
    async after(key: string | null, limit: number): Promise<SourceRows | null> {
      const fits = ahead !== null && ahead.after === key && ahead.limit <= limit;
      const page = await (fits && ahead !== null ? ahead.page : table.pageAfter(key, limit));
      ahead = null;
      if (page !== null) {
        const coming = table.pageAfter(page.key, limit);
        // Told when it is asked for.
        coming.catch(() => {});
        ahead = { after: page.key, limit, page: coming };
      }
      return page;
    },
  };
}

/** Which records were refused: their ids begin the lines. */
function withKeys(bytes: Buffer, rejected: readonly RecordRejection[]): KeptRejection[] {
  if (rejected.length === 0) return [];
  const lines = bytes.toString('utf8').split('\n');
  return rejected.map(({ line, code, detail }) => ({
    record: (lines[line - 1] ?? '').split(',')[0]?.slice(0, 200) ?? '',
    code,
    detail: detail.slice(0, 200),
  }));
}
