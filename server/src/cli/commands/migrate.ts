import { acquireEmbedded } from '../../storage/embedded/embedded-postgres.ts';
import { migrate } from '../../storage/migrator.ts';
import { describedCommand, does } from '../command.ts';
import type { CliContext, Run } from '../context.ts';

/** `milliard migrate` */
export const migrateCommand = (context: CliContext) =>
  does(
    describedCommand('migrate', {
      description:
        'Bring the schema of the database up to this version. Safe to run at any time, and by several at once.',
      examples: [
        ['milliard migrate', 'the embedded database (other commands do it by themselves)'],
        ['DATABASE_URL=postgresql://milliard@db.example/milliard milliard migrate', 'your own server'],
      ],
    }),
    context,
    runMigrate,
  );

async function runMigrate(run: Run): Promise<undefined> {
  const { database } = run.config();
  const server =
    database.url === null
      ? await acquireEmbedded({ dataDir: database.dataDir, purpose: 'migrate', log: (step) => run.output.note(step) })
      : null;
  try {
    const applied = await migrate({ url: server?.url ?? database.url ?? '' });
    for (const name of applied) run.output.say(`applied ${name}`);
    if (applied.length === 0) run.output.say('nothing to do: the schema is that of this version');
    await run.output.record({ applied });
  } finally {
    await server?.release();
  }
}
