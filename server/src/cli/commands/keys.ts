import type { Command } from 'commander';
import { formatInstant } from '../../core/time.ts';
import { type Scope, scopes } from '../../domains/access/api-key.ts';
import type { ApiKey } from '../../domains/access/api-keys-service.ts';
import { describedCommand, does } from '../command.ts';
import { type CliContext, type Run, withApp } from '../context.ts';
import { UsageError } from '../stopped.ts';

const actor = 'cli';

/** `milliard keys create|list|revoke` */
export const keysCommand = (context: CliContext): Command =>
  describedCommand('keys', {
    description: 'API keys for `milliard serve`.',
    examples: [['milliard keys create --name shop --scopes orders:read,orders:write', 'a key for the shop']],
  })
    .addCommand(createCommand(context))
    .addCommand(listCommand(context))
    .addCommand(revokeCommand(context));

const createCommand = (context: CliContext): Command =>
  does<{ name: string; scopes: string }>(
    describedCommand('create', {
      description: 'Make a key. Its text is shown once and stored nowhere: only a hash of it is kept.',
      examples: [
        ['milliard keys create --name reports --scopes orders:read', 'a key that only reads'],
        [
          'milliard keys create --name shop --scopes orders:read,orders:write --json | jq -r .api_key',
          'the key alone, for a script',
        ],
      ],
    })
      .requiredOption('--name <name>', 'what the key is for, 1 to 100 characters')
      .requiredOption('--scopes <list>', `what it may do, separated by commas: ${scopes.join(', ')}`),
    context,
    async (run, options) => {
      const request = { name: readName(options.name), scopes: readScopes(options.scopes), actor };
      const { key, text } = await withApp(run, 'keys create', (app) => app.keys.create(request));
      run.output.say(
        `${text}\n\nKeep it: it cannot be shown again. To take it back: milliard keys revoke ${key.keyId}`,
      );
      await run.output.record({ ...toDocument(key), api_key: text });
    },
  );

function readName(name: string): string {
  if (name.trim() === '' || name.length > 100) throw new UsageError('--name must have 1 to 100 characters.');
  return name;
}

function readScopes(text: string): Scope[] {
  const names = text.split(',').map((name) => name.trim());
  const unknown = names.filter((name) => !(scopes as readonly string[]).includes(name));
  if (unknown.length > 0)
    throw new UsageError(`--scopes: there is no scope "${unknown.join('", "')}". Known: ${scopes.join(', ')}.`);
  return [...new Set(names)] as Scope[];
}

const listCommand = (context: CliContext): Command =>
  does(
    describedCommand('list', {
      description: 'All keys, revoked ones included, oldest first.',
      examples: [['milliard keys list', 'a table']],
    }),
    context,
    async (run) => {
      const keys = await withApp(run, 'keys list', (app) => app.keys.list());
      if (keys.length === 0) run.output.say('There are no keys.');
      else if (!run.output.json) run.output.table(['ID', 'NAME', 'SCOPES', 'CREATED', 'REVOKED'], keys.map(toRow));
      for (const key of keys) await run.output.record(toDocument(key));
    },
  );

const revokeCommand = (context: CliContext): Command =>
  does(
    describedCommand('revoke', {
      description: 'Take a key back: from the next request on it opens nothing.',
      examples: [
        ['milliard keys revoke 0123456789abcdef', 'the ID is the middle part of mk_…_…, see `milliard keys list`'],
      ],
      exitCodes: [[1, 'there is no such key']],
    }).argument('<id>', 'the ID of the key, 16 characters'),
    context,
    async (run: Run, _options, [id = '']) => {
      const key = await withApp(run, 'keys revoke', (app) => app.keys.revoke(id, actor));
      run.output.say(`${key.keyId} (${key.name}) opens nothing any more.`);
      await run.output.record(toDocument(key));
    },
  );

const toRow = (key: ApiKey) => [
  key.keyId,
  key.name,
  key.scopes.join(','),
  formatInstant(key.createdAt),
  key.revokedAt === null ? '' : formatInstant(key.revokedAt),
];

const toDocument = (key: ApiKey) => ({
  key_id: key.keyId,
  name: key.name,
  scopes: key.scopes,
  created_at: formatInstant(key.createdAt),
  revoked_at: key.revokedAt === null ? null : formatInstant(key.revokedAt),
});
