import type { Command } from 'commander';
import { formatNodeAddress } from '../../core/cluster.ts';
import { formatInstant } from '../../core/time.ts';
import {
  type AdoptPlan,
  type AdoptProgress,
  type AdoptRequest,
  type OldProcess,
  remainingAdoptMs,
  wayOf,
} from '../../storage/cluster/adopt.ts';
import { cliActor } from '../actor.ts';
import { bytesText, readAddress } from '../cluster-texts.ts';
import { describedCommand, does } from '../command.ts';
import { type CliContext, exitCodes, type Run, withApp } from '../context.ts';
import { countText, durationText, remainingText } from '../job-texts.ts';
import { values } from '../values.ts';

interface AdoptFlags {
  readonly worker: readonly string[];
  readonly coordinator?: string;
  readonly shards?: string;
  readonly dryRun?: boolean;
}

const each = (text: string, before: readonly string[]): readonly string[] => [...before, text];

/** `milliard cluster adopt` */
export const adoptCommand = (context: CliContext): Command =>
  does<AdoptFlags>(
    describedCommand('adopt', {
      description:
        'Make the running single database the coordinator of a cluster and move its rows onto workers, table by table, while orders come in. It creates the extension, adds the workers, waits until every server has been restarted once, then copies each table online; the writers of a table wait a moment at the end of its copy. Ended in any way, the same command goes on.',
      examples: [
        [
          'milliard cluster adopt --worker db2:5432 --worker db3:5432 --dry-run',
          'what would be done, and what is missing',
        ],
        ['milliard cluster adopt --worker db2:5432 --worker db3:5432', 'does it, or goes on'],
        [
          'milliard cluster adopt --worker db2 --coordinator db1:5432',
          'db1:5432 is how the workers reach this database',
        ],
      ],
      exitCodes: [
        [0, 'done, or there is nothing left to do'],
        [1, 'the database cannot become a cluster yet (every reason is told), or a step failed: run it again'],
      ],
      endedBySignal: 'ended by Ctrl-C or SIGTERM: what is done stays; the same command goes on',
    })
      .option('--worker <host:port>', 'a server to be added, as the other nodes reach it; may be repeated', each, [])
      .option('--coordinator <host:port>', 'this database, as the other nodes reach it (default: as in DATABASE_URL)')
      .option('--shards <n>', 'of each table, before the first is moved (default: 16)')
      .option('--dry-run', 'change nothing'),
    context,
    (run, flags) => {
      const request: AdoptRequest = {
        workers: flags.worker.map((text) => readAddress('--worker', text)),
        coordinator: flags.coordinator === undefined ? null : readAddress('--coordinator', flags.coordinator),
        shards: flags.shards === undefined ? null : values.integer('--shards', flags.shards, [1, 4096]),
      };
      return withApp(run, 'cluster adopt', async ({ adoption }) => {
        if (flags.dryRun === true) return showPlan(run, await adoption.plan(request));
        const progress = run.output.progress({ title: 'moving' });
        try {
          const { outcome, tables, shards, tookMs } = await adoption.adopt(request, {
            actor: cliActor(),
            signal: run.signal,
            onStep: (step) => run.output.note(step),
            onWaiting: (processes) => tellWhoIsWaitedFor(run, processes),
            onProgress: (state) => progress.update(state.done, state.total, progressText(state)),
            onTable: ({ name, rowsEstimate, bytes }, ms) =>
              run.output.note(`${name}: ~${countText(rowsEstimate)} rows, ${bytesText(bytes)}, in ${durationText(ms)}`),
          });
          progress.stop();
          await run.output.record({ outcome, tables, shards, took_ms: Math.round(tookMs) });
          if (outcome === 'nothing') run.output.say('Every table is as it is to be: nothing to do.');
          else {
            run.output.say(`The database is a cluster: ${tables.length} tables moved in ${durationText(tookMs)}.`);
            run.output.note('Look at it: milliard cluster status');
          }
          return exitCodes.done;
        } finally {
          progress.stop();
        }
      });
    },
  );

async function showPlan({ output }: Run, plan: AdoptPlan): Promise<number> {
  const tables = plan.tables.map((table) => ({ ...table, ...wayOf(table, plan.shards) }));
  for (const { rowsEstimate: rows_estimate, ...table } of tables) await output.record({ ...table, rows_estimate });
  await output.record({
    dry_run: true,
    is_cluster: plan.isCluster,
    nodes: plan.nodes.map(formatNodeAddress),
    shards: plan.shards,
    checks: plan.checks,
    faults: plan.faults,
    processes: plan.processes.map(oldDocument),
  });
  if (!output.json) {
    output.table(
      ['TABLE', 'ROWS', 'BYTES', 'KIND', 'WAY', 'WAITS'],
      tables.map(({ name, rowsEstimate, bytes, kind, state, way, waits }) => [
        name,
        ...(kind === 'distributed' && state === 'done' ? ['–', '–'] : [countText(rowsEstimate), bytesText(bytes)]),
        kind,
        way,
        waits,
      ]),
    );
    const [coordinator = '', ...workers] = plan.nodes.map(formatNodeAddress);
    output.say(`Coordinator ${coordinator}, workers ${workers.join(', ') || 'none'}. Rows are estimates.`);
    for (const check of plan.checks) output.say(`Good: ${check}`);
    for (const process of plan.processes)
      output.say(`To be restarted once the extension is there: ${oldText(process)}`);
  }
  for (const fault of plan.faults) output.warn(fault);
  output.say('Nothing was changed.');
  return plan.faults.length === 0 ? exitCodes.done : exitCodes.failed;
}

function tellWhoIsWaitedFor({ output }: Run, processes: readonly OldProcess[]): void {
  if (processes.length === 0) output.note('Every server knows the cluster now: moving the tables.');
  else
    output.warn(
      `Restart these one after another now, each when the one before serves again. They took the database for a single server when they began; nothing is moved before they are gone:\n${processes
        .map((process) => `- ${oldText(process)}`)
        .join('\n')}`,
    );
}

const oldText = ({ application, host, pid, startedAt }: OldProcess): string =>
  `${application} on ${host}${pid === null ? '' : `, process ${pid}`}, since ${formatInstant(startedAt)}`;

const oldDocument = ({ application, host, pid, startedAt }: OldProcess): object => ({
  application,
  host,
  pid,
  started_at: formatInstant(startedAt),
});

function progressText(progress: AdoptProgress): string {
  const left = remainingAdoptMs(progress);
  const { table, doneBytes, totalBytes, elapsedMs } = progress;
  const time = `${durationText(elapsedMs)}${left === null ? '' : `, ~${remainingText(left)} left`}`;
  return `${table.name}, ${bytesText(doneBytes)} of ${bytesText(totalBytes)}, ${time}`;
}
