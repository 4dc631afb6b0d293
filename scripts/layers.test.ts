import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const depcruise = join(root, 'node_modules/dependency-cruiser/bin/dependency-cruise.mjs');

/** Files of a made-up server: path below server/src → the modules it imports. */
type Imports = Readonly<Record<string, readonly string[]>>;

/** The faults that the project's rules find in a made-up server, as "rule: importing file". */
async function faultsIn(imports: Imports): Promise<string[]> {
  const dir = await mkdtemp(join(tmpdir(), 'milliard-layers-'));
  try {
    for (const name of ['pg', 'fastify']) {
      await write(join(dir, 'node_modules', name, 'package.json'), JSON.stringify({ name, main: 'index.js' }));
      await write(join(dir, 'node_modules', name, 'index.js'), '');
    }
    for (const [file, modules] of Object.entries(imports)) {
      await write(join(dir, 'server/src', file), modules.map((name) => `import '${name}';\n`).join(''));
    }
    const args = [depcruise, '--config', join(root, '.dependency-cruiser.cjs'), '--output-type', 'json', 'server/src'];
    const { stdout } = await promisify(execFile)(process.execPath, args, { cwd: dir, maxBuffer: 10_000_000 });
    const { summary } = JSON.parse(stdout) as { summary: { violations: { rule: { name: string }; from: string }[] } };
    return summary.violations.map(({ rule, from }) => `${rule.name}: ${from.replace('server/src/', '')}`).sort();
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

async function write(path: string, text: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, text);
}

const orders = 'domains/orders';
const clean: Imports = {
  'core/ids.ts': [],
  'storage/database.ts': ['../core/ids.ts', 'pg'],
  'jobs/job.ts': ['../storage/database.ts'],
  [`${orders}/order.ts`]: ['../../core/ids.ts'],
  [`${orders}/order-status.ts`]: ['./order.ts'],
  [`${orders}/orders-queries.ts`]: ['../../storage/database.ts', './order.ts'],
  [`${orders}/orders-service.ts`]: ['./orders-queries.ts', './order-status.ts'],
  'domains/tickets/ticket.ts': ['../../core/ids.ts'],
  'flows/verify.ts': [`../${orders}/orders-service.ts`],
  'config.ts': [],
  'app.ts': ['./flows/verify.ts', './config.ts'],
  'http/server.ts': ['../app.ts', 'fastify'],
  'cli/commands/serve.ts': ['../../http/server.ts'],
  'main.ts': ['./cli/commands/serve.ts'],
  'testing/harness.ts': ['../app.ts', 'pg'],
  'core/ids.test.ts': ['./ids.ts', '../testing/harness.ts', '../app.ts'],
};

test('a server that keeps to the layers has no faults', async () => {
  expect(await faultsIn(clean)).toEqual([]);
});

test('each rule finds the import that breaks it', async () => {
  const faults = await faultsIn({
    ...clean,
    'core/up.ts': ['../storage/database.ts'],
    'storage/up.ts': ['../jobs/job.ts'],
    'jobs/up.ts': ['../domains/tickets/ticket.ts'],
    [`${orders}/up-service.ts`]: ['../../flows/verify.ts'],
    'flows/up.ts': ['../config.ts'],
    'app-up.ts': ['./http/server.ts'],
    'http/up.ts': ['../cli/commands/serve.ts'],
    'cli/up.ts': ['../main.ts'],
    [`${orders}/across-service.ts`]: ['../tickets/ticket.ts'],
    'app-queries.ts': [`./${orders}/orders-queries.ts`],
    'flows/foreign-queries.ts': [`../${orders}/orders-queries.ts`],
    [`${orders}/reads-storage.ts`]: ['../../storage/database.ts'],
    [`${orders}/reads-service.ts`]: [],
    [`${orders}/calls-service-of-domain.ts`]: ['./reads-service.ts'],
    'core/reads-files.ts': ['node:fs'],
    'flows/web.ts': ['fastify'],
    'flows/driver.ts': ['pg'],
    'flows/tested.ts': ['../testing/harness.ts'],
    'core/cycle-a.ts': ['./cycle-b.ts'],
    'core/cycle-b.ts': ['./cycle-a.ts'],
    'core/lost.ts': ['./nowhere.ts'],
  });
  expect(faults).toEqual([
    'domains-are-apart: domains/orders/across-service.ts',
    'fastify-only-in-http: flows/web.ts',
    'layer-app: app-up.ts',
    'layer-cli: cli/up.ts',
    'layer-core: core/up.ts',
    'layer-domains: domains/orders/up-service.ts',
    'layer-flows: flows/up.ts',
    'layer-http: http/up.ts',
    'layer-jobs: jobs/up.ts',
    'layer-storage: storage/up.ts',
    'no-circular: core/cycle-a.ts',
    'no-tests-in-product: flows/tested.ts',
    'no-unresolvable: core/lost.ts',
    'pg-only-in-storage: flows/driver.ts',
    'pure-code-does-no-io: core/reads-files.ts',
    'pure-domain-imports-core: domains/orders/reads-storage.ts',
    'pure-domain-stays-pure: domains/orders/calls-service-of-domain.ts',
    'queries-stay-home: app-queries.ts',
    'queries-stay-home: flows/foreign-queries.ts',
  ]);
});
