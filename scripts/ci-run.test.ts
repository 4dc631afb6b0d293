import { execFile } from 'node:child_process';
import { chmod, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, test } from 'vitest';

const script = join(dirname(dirname(fileURLToPath(import.meta.url))), '.ci/run');
const program = 'usr/lib/postgresql/15/bin/postgres';
const installs = 'apt-get -q -o DPkg::Lock::Timeout=120 install -y --no-install-recommends postgresql-15';
const updates = 'apt-get -q -o DPkg::Lock::Timeout=120 update';
const tests = ['npm test', 'npm run check'];

/** A made-up machine: its programs write down how they were called, and nothing of this machine is changed. */
let machine: string;
beforeEach(async () => {
  machine = await mkdtemp(join(tmpdir(), 'milliard-ci-'));
  await mkdir(join(machine, 'bin'));
  for (const name of ['bash', 'env', 'dirname', 'mkdir', 'tee', 'chmod'])
    await symlink(await which(name), join(machine, 'bin', name));
  await stub('npm', '');
});
afterEach(() => rm(machine, { recursive: true, force: true }));

async function which(name: string): Promise<string> {
  for (const dir of (process.env['PATH'] ?? '').split(delimiter)) {
    const path = join(dir, name);
    if (
      await readFile(path).then(
        () => true,
        () => false,
      )
    )
      return path;
  }
  throw new Error(`${name} is not in PATH`);
}

async function stub(name: string, body: string): Promise<void> {
  const path = join(machine, 'bin', name);
  await writeFile(
    path,
    `#!${join(machine, 'bin/bash')}\necho "${name} $*" >>"$MILLIARD_TEST_MACHINE/calls"\n${body}\n`,
  );
  await chmod(path, 0o755);
}

const user = (uid: number) => stub('id', `echo ${uid}`);
/** `apt-get install` that leaves the program where Debian's package does. */
const apt = () =>
  stub(
    'apt-get',
    `case "$*" in *install*) mkdir -p "$MILLIARD_TEST_MACHINE/${dirname(program)}"; >"$MILLIARD_TEST_MACHINE/${program}"; chmod +x "$MILLIARD_TEST_MACHINE/${program}";; esac`,
  );

async function run(environment: Record<string, string> = {}) {
  const env = { PATH: join(machine, 'bin'), MILLIARD_TEST_MACHINE: machine, ...environment };
  const { code, stderr } = await new Promise<{ code: number; stderr: string }>((resolve) => {
    execFile(script, { env }, (error, _, text) =>
      resolve({ code: error === null ? 0 : Number(error.code), stderr: text }),
    );
  });
  const calls = (await readFile(join(machine, 'calls'), 'utf8').catch(() => '')).trim().split('\n');
  return { code, stderr, calls: calls.filter((call) => !call.startsWith('id ')) };
}

test('root on a machine without PostgreSQL 15 installs the programs, without a server of their own', async () => {
  await user(0);
  await apt();
  expect(await run({ CI: 'true' })).toEqual({ code: 0, stderr: '', calls: [updates, installs, ...tests] });
  expect(await readFile(join(machine, 'etc/postgresql-common/createcluster.conf'), 'utf8')).toBe(
    'create_main_cluster = false\n',
  );
});

test('settings of the machine that are there are kept', async () => {
  await user(0);
  await apt();
  const file = join(machine, 'etc/postgresql-common/createcluster.conf');
  await mkdir(dirname(file), { recursive: true });
  await writeFile(file, 'mine');
  expect((await run()).code).toBe(0);
  expect(await readFile(file, 'utf8')).toBe('mine');
});

test('nothing is installed where PostgreSQL 15 is there, or is named', async () => {
  await user(0);
  await apt();
  expect((await run({ MILLIARD_TEST_PG15_BIN: '/elsewhere/bin' })).calls).toEqual(tests);
  await run();
  await rm(join(machine, 'calls'));
  expect((await run({ CI: 'true' })).calls).toEqual(tests);
});

test('a user who may become root does so', async () => {
  await user(1_000);
  await apt();
  await stub('sudo', 'shift; "$@"');
  const { code, calls } = await run({ CI: 'true' });
  expect(code).toBe(0);
  expect(calls.filter((call) => !call.startsWith('sudo '))).toEqual([updates, installs, ...tests]);
  expect(calls[0]).toMatch(/^sudo -n mkdir /);
});

test.each([
  ['by a user who may not become root', 1_000, ''],
  ['as its package is not known', 0, 'case "$*" in *install*) exit 100;; esac'],
  ['as the packages cannot be fetched', 0, 'exit 100'],
  ['though apt-get says so', 0, ''],
])('what cannot be installed (%s) is told; with CI=true that is the end', async (_, uid, body) => {
  await user(uid);
  await stub('apt-get', body);
  const lenient = await run();
  expect(lenient).toMatchObject({ code: 0, stderr: expect.stringContaining('PostgreSQL 15 is missing') });
  expect(lenient.calls.slice(-2)).toEqual(tests);
  await rm(join(machine, 'calls'));
  const strict = await run({ CI: 'true' });
  expect(strict).toMatchObject({ code: 1, stderr: expect.stringContaining('PostgreSQL 15 is missing') });
  expect(strict.calls).not.toContain('npm test');
});

test('a failed test ends it with the exit code of npm', async () => {
  await user(0);
  await stub('npm', 'exit 7');
  expect(await run({ MILLIARD_TEST_PG15_BIN: '/elsewhere/bin' })).toMatchObject({ code: 7, calls: ['npm test'] });
});
