import type { Command } from 'commander';
import { describedCommand } from '../command.ts';
import type { CliContext } from '../context.ts';
import { cancelCommand, pauseCommand, resumeCommand } from './jobs-control.ts';
import { errorsCommand } from './jobs-errors.ts';
import { listCommand } from './jobs-list.ts';
import { setCommand } from './jobs-set.ts';
import { startCommand } from './jobs-start.ts';
import { watchCommand } from './jobs-watch.ts';

/** `milliard jobs list|start|watch|pause|resume|cancel|set|errors` */
export const jobsCommand = (context: CliContext): Command =>
  describedCommand('jobs', {
    description:
      'Long work in batches, each with its checkpoint in one transaction: whatever is killed, nothing is done twice or left out.',
    examples: [
      ['milliard jobs list', 'what runs, waits and has ended'],
      ['milliard jobs watch 0197c0b9-3e00-7a5c-9f3e-5d2f8c1b7a60', 'how far it is, from any terminal'],
    ],
  })
    .addCommand(listCommand(context))
    .addCommand(startCommand(context))
    .addCommand(watchCommand(context))
    .addCommand(pauseCommand(context))
    .addCommand(resumeCommand(context))
    .addCommand(cancelCommand(context))
    .addCommand(setCommand(context))
    .addCommand(errorsCommand(context));
