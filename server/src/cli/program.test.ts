import { Readable, Writable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import type { CliContext } from './context.ts';
import { runCli } from './program.ts';

const packageDir = fileURLToPath(new URL('../..', import.meta.url));

/** Runs a command line without a process; nothing here reaches a database. */
async function run(args: readonly string[], environment: Record<string, string> = {}) {
  const texts = { stdout: '', stderr: '' };
  const into = (name: keyof typeof texts) =>
    new Writable({
      write(chunk, _encoding, done) {
        texts[name] += String(chunk);
        done();
      },
    });
  const context: CliContext = {
    environment,
    stdin: Readable.from([]),
    stdout: into('stdout'),
    stderr: into('stderr'),
    signal: new AbortController().signal,
    packageDir,
    version: '1.2.3',
  };
  const exitCode = await runCli(args, context);
  return { exitCode, ...texts };
}

const commands = [
  'dev',
  'serve',
  'migrate',
  'db status',
  'db url',
  'db stop',
  'keys create',
  'keys list',
  'keys revoke',
  'orders import',
  'orders generate',
  'orders list',
  'orders get',
  'orders export',
  'verify orders',
  'tickets generate',
  'tickets verify',
  'tickets rotate',
  'tickets purge-tokens',
  'tickets list',
  'tickets get',
  'tickets void',
  'jobs list',
  'jobs start',
  'jobs watch',
  'jobs pause',
  'jobs resume',
  'jobs cancel',
  'jobs set',
  'jobs errors',
  'cluster salt',
  'cluster salts',
  'openapi',
];

describe.each(commands)('milliard %s --help', (command) => {
  test('shows examples, exit codes and the global options and ends with 0', async () => {
    const { exitCode, stdout, stderr } = await run([...command.split(' '), '--help']);
    expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: '' });
    expect(stdout).toContain(`Usage: milliard ${command}`);
    expect(stdout).toContain('Examples:');
    expect(stdout).toContain('--json');
    expect(stdout).toContain('--data-dir');
    expect(stdout).toMatch(/Exit codes:\n {2}0 {2}[\s\S]* 2 {2}/);
  });
});

test('--version prints the version alone', async () => {
  expect(await run(['--version'])).toEqual({ exitCode: 0, stdout: '1.2.3\n', stderr: '' });
});

describe('what is typed wrong ends with 2, says what is wrong in a sentence and does nothing', () => {
  const id = '0197c0b9-3e00-7a5c-9f3e-5d2f8c1b7a60';
  test.each<[string, RegExp]>([
    ['bogus', /unknown command 'bogus'/],
    ['orders list --frm 2026-01-01', /unknown option '--frm'[\s\S]*--from/],
    ['orders list --limit 0', /--limit is "0": give a whole number from 1 to 500/],
    ['orders list --status lost', /--status is "lost": give one of pending, complete, cancelled/],
    ['orders list --number 7', /--number needs --customer/],
    ['orders list --from yesterday', /--from is "yesterday": give a day/],
    ['orders list --after x', /"x" is no order id/],
    ['orders get', /missing required argument 'order-id'/],
    [`orders get ${id} ${id}`, /too many arguments/],
    ['usage types --add x_y --unit=', /--unit must not be empty/],
    ['orders export --format xml', /--format is "xml": give one of ndjson, csv/],
    ['orders export --output /nowhere/at/all.csv', /--output: \/nowhere\/at\/all.csv cannot be written/],
    ['orders import', /missing required argument 'file'/],
    ['orders import /nowhere/orders.csv', /There is no file \/nowhere\/orders.csv/],
    [`orders import ${packageDir}`, /is a folder/],
    [`orders import ${packageDir}package.json --preset online-retail`, /reads CSV/],
    [`orders import ${packageDir}package.json --preset other`, /Allowed choices are default, online-retail/],
    [`orders import ${packageDir}package.json --errors /nowhere/e.csv`, /--errors: \/nowhere\/e.csv cannot be written/],
    ['orders generate', /required option '--count <orders>'/],
    ['orders generate --count many', /--count is "many"/],
    ['orders generate --count 5 --from 2025-02-01 --to 2025-01-01', /--from must lie before --to/],
    ['orders generate --count 5 --to 2999-01-01', /--to lies in the future/],
    ['orders generate --count 5 --from 1990-01-01', /before 1995/],
    ['orders generate --count 5 --cancelled 2', /--cancelled is "2": give a number from 0 to 1/],
    ['keys create --name a --scopes orders:all', /there is no scope "orders:all"[\s\S]*orders:read/],
    ['shipments list --country Atlantis', /--country is "Atlantis": give a country/],
    [
      'shipments add-event DHL TN1 lost --at 2999-01-01',
      /--at is "2999-01-01": it lies more than 5 minutes in the future/,
    ],
    [`shipments add-event DHL TN1 lost --city ${'x'.repeat(501)}`, /This is no event: --city must have at most/],
    ['tickets generate', /required option '--count <tickets>'/],
    ['tickets generate --count none', /--count is "none"/],
    ['tickets generate --count 5 --holders 0', /--holders is "0"/],
    ['tickets list', /Say which tickets: --event, --holder/],
    ['tickets list --event a --after x', /This is no ticket id/],
    ['tickets get x', /This is no ticket id/],
    ['tickets get', /missing required argument/],
    [`tickets void ${id} --reason ${'x'.repeat(501)}`, /--reason must have 1 to 500 characters/],
    ['tickets verify', /missing required argument/],
    ['tickets verify -', /No token came on standard input/],
    ['jobs list --state stopped', /--state is "stopped": give one of queued, running, paused/],
    ['jobs list --after x', /"x" is no id of a run/],
    ['jobs watch', /missing required argument 'run-id'/],
    ['jobs watch x', /"x" is no id of a run: `milliard jobs list` shows them/],
    ['jobs pause x', /"x" is no id of a run/],
    ['jobs resume x', /"x" is no id of a run/],
    [`jobs resume ${id} --detach --database-url postgres://db/x`, /servers work at jobs of their own database only/],
    ['jobs list --database-url mysql://secret@db/x', /--database-url must begin with postgres:/],
    ['jobs cancel x', /"x" is no id of a run/],
    ['jobs errors x', /"x" is no id of a run/],
    [`jobs errors ${id} --limit 0`, /--limit is "0"/],
    [`jobs set ${id}`, /Say what to change: --rate/],
    [`jobs set ${id} --rate fast`, /--rate is "fast": give a number/],
    [`jobs set ${id} --max-replica-lag 10`, /--max-replica-lag is "10": give a time such as/],
    [`jobs set ${id} --max-archive-backlog -1`, /--max-archive-backlog is "-1": give a whole number/],
    [`jobs set ${id} --vacuum no`, /--vacuum is "no": give one of yield, ignore/],
    ['jobs start orders.verify --param repair', /--param is "repair": give name=value/],
    ['jobs start orders.verify --parameters [1]', /--parameters is no JSON object/],
    ['jobs start orders.verify --parameters {', /--parameters is no JSON object/],
    ['jobs start orders.verify --dry-run --detach', /--dry-run shows what would happen here: leave out --detach/],
    ['jobs start orders.verify more', /too many arguments/],
    ['openapi --check --write', /cannot be used with/],
  ])('%s', async (line, message) => {
    const { exitCode, stdout, stderr } = await run(line.split(' '), { MILLIARD_DATA_DIR: '/nowhere/at/all' });
    expect(stderr).toMatch(message);
    expect({ exitCode, stdout }).toEqual({ exitCode: 2, stdout: '' });
  });
});

test('a token on the command line is refused and not repeated', async () => {
  const token = '6f1c0f4e-2b7a-4a5c-9d3e-8c1b7a605d2f';
  for (const line of [
    ['verify', token],
    ['get', token],
    ['void', token],
    ['list', '--event', 'a', '--after', token],
  ]) {
    const { exitCode, stdout, stderr } = await run(['tickets', ...line], { MILLIARD_DATA_DIR: '/nowhere/at/all' });
    expect({ exitCode, stdout }).toEqual({ exitCode: 2, stdout: '' });
    expect(stderr).toContain('milliard tickets verify -');
    expect(stderr).not.toContain(token);
  }
});

test('all faults of the configuration come at once, with 2', async () => {
  const { exitCode, stderr } = await run(['orders', 'list'], {
    MILLIARD_POOL_SIZE: 'x',
    MILLIARD_PROT: '1',
    DATABASE_URL: 'mysql://db',
  });
  expect(exitCode).toBe(2);
  for (const name of ['MILLIARD_POOL_SIZE', 'MILLIARD_PROT', 'DATABASE_URL']) expect(stderr).toContain(name);
});

test('a database that does not answer ends with 1 and a sentence', async () => {
  const { exitCode, stderr } = await run(['orders', 'list'], { DATABASE_URL: 'postgresql://u@127.0.0.1:1/none' });
  expect({ exitCode, lines: stderr.trim().split('\n').length }).toEqual({ exitCode: 1, lines: 1 });
  expect(stderr).toMatch(/^milliard: The database cannot be reached/);
});

test('a command group without a command shows its commands and ends with 2', async () => {
  const { exitCode, stderr } = await run(['orders']);
  expect(exitCode).toBe(2);
  expect(stderr).toContain('import [options] <file>');
});

test('the API document is one line with --json and a readable document without', async () => {
  const plain = await run(['openapi']);
  const machine = await run(['openapi', '--json']);
  expect(machine.stdout.trimEnd()).not.toContain('\n');
  expect(JSON.parse(machine.stdout)).toEqual(JSON.parse(plain.stdout));
});
