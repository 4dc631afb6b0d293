import type { Command } from 'commander';
import { formatInstant } from '../../core/time.ts';
import {
  createDirectWrites,
  type DirectWrites,
  type DirectWritesStatus,
} from '../../domains/usage/usage-direct-writes-service.ts';
import { cliActor } from '../actor.ts';
import { describedCommand, does } from '../command.ts';
import { type CliContext, exitCodes, type Run, withApp } from '../context.ts';

/** `milliard usage direct-writes enable|disable|status` */
export const usageDirectWritesCommand = (context: CliContext): Command =>
  describedCommand('direct-writes', {
    description:
      'Whether raw usage that others write into usage_records (psql, COPY, another service) is counted. Off unless enabled: the API needs it not.',
    examples: [
      ['milliard usage direct-writes enable', 'installs triggers that tell the rollup of such rows'],
      ['milliard usage direct-writes status', 'whether they are there, and what came that way'],
    ],
  })
    .addCommand(enableCommand(context))
    .addCommand(disableCommand(context))
    .addCommand(statusCommand(context));

const enableCommand = (context: CliContext): Command =>
  does(
    describedCommand('enable', {
      description:
        'Installs the triggers, or renews them. Writers of usage wait for a moment. From then on every ingest costs more, that of the API too (docs/aggregates.md).',
      examples: [['milliard usage direct-writes enable', 'may be run again at any time']],
    }),
    context,
    (run) => show(run, (directWrites) => directWrites.enable(cliActor())),
  );

const disableCommand = (context: CliContext): Command =>
  does(
    describedCommand('disable', {
      description:
        'Takes the triggers away; what was written stays counted. Afterwards an INSERT past the API fails; an UPDATE or DELETE goes unnoticed until `milliard verify usage`.',
      examples: [['milliard usage direct-writes disable', 'when only the API writes']],
    }),
    context,
    (run) => show(run, (directWrites) => directWrites.disable(cliActor())),
  );

const statusCommand = (context: CliContext): Command =>
  does(
    describedCommand('status', {
      description: 'Whether direct writes are counted, and what came that way.',
      examples: [['milliard usage direct-writes status', '1 as exit code when a trigger is missing']],
    }),
    context,
    (run) => show(run, (directWrites) => directWrites.status()),
  );

function show(
  run: Run,
  work: (directWrites: DirectWrites) => Promise<DirectWritesStatus>,
): Promise<number | undefined> {
  return withApp(run, 'usage direct-writes', async ({ db, clock, server }) => {
    const status = await work(createDirectWrites({ db, clock, isCitus: server.topology === 'citus' }));
    const { state, missing, batches, openBatches, lastAt } = status;
    await run.output.record({
      state,
      missing,
      batches,
      open_batches: openBatches,
      last_at: lastAt === null ? null : formatInstant(lastAt),
    });
    if (run.output.json) return codeOf(status);
    run.output.say(`Direct writes are ${state}.`);
    if (missing.length > 0)
      run.output.warn(
        `These triggers are missing or disabled: ${missing.join(', ')}. Run \`milliard usage direct-writes enable\`, then \`milliard verify usage\`.`,
      );
    if (batches > 0)
      run.output.say(
        `${batches.toLocaleString('en')} transactions wrote past the API${lastAt === null ? '' : `, the last one at ${formatInstant(lastAt)}`}; ${openBatches.toLocaleString('en')} of them are not in the sums yet.`,
      );
    return codeOf(status);
  });
}

const codeOf = ({ state }: DirectWritesStatus): number | undefined =>
  state === 'incomplete' ? exitCodes.failed : undefined;
