import { acquireEmbedded } from '../../storage/embedded/embedded-postgres.ts';
import { migrate } from '../../storage/migrator.ts';
import { describedCommand, does } from '../command.ts';
import type { CliContext, Run } from '../context.ts';
import { values } from '../values.ts';

interface MigrateFlags {
  readonly shards?: string;
}

/** `milliard migrate` */
export const migrateCommand = (context: CliContext) =>
  does(
    describedCommand('migrate', {
      description:
        'Bring the schema of the database up to this version; on Citus, distribute its tables, too. Safe to run at any time, and by several at once.',
      examples: [
        ['milliard migrate', 'the embedded database (other commands do it by themselves)'],
        [
          'DATABASE_URL=postgresql://milliard@db.example/milliard milliard migrate',
          'your own server, or any node of Citus',
        ],
      ],
    }).option('--shards <count>', 'Citus, before the tables are distributed: shards of each (16)'),
    context,
    runMigrate,
  );

async function runMigrate(run: Run, flags: MigrateFlags): Promise<undefined> {
  const { database } = run.config();
  // Each bucket has a home of its own at most.
  const shards = flags.shards === undefined ? {} : { shards: values.integer('--shards', flags.shards, [1, 4096]) };
  const server =
    database.url === null
      ? await acquireEmbedded({ dataDir: database.dataDir, purpose: 'migrate', log: (step) => run.output.note(step) })
      : null;
  try {
    const done: string[] = [];
    const log = (line: string): void => {
      done.push(line);
      run.output.say(line);
    };
    const applied = await migrate({ url: server?.url ?? database.url ?? '', ...shards, log });
    if (done.length === 0) run.output.say('nothing to do: the schema is that of this version');
    await run.output.record({ applied });
  } finally {
    await server?.release();
  }
}
