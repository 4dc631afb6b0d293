import { execFile } from 'node:child_process';
import { chmod, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, test } from 'vitest';

const script = join(dirname(dirname(fileURLToPath(import.meta.url))), '.ci/run');
/** Each package and its program. */
const programs = {
  'postgresql-15': 'usr/lib/postgresql/15/bin/postgres',
  nginx: 'usr/sbin/nginx',
  'redis-server': 'usr/bin/redis-server',
};
type Package = keyof typeof programs;
const packages = Object.keys(programs) as Package[];
const installsOf = (...names: readonly Package[]) =>
  `apt-get -q -o DPkg::Lock::Timeout=120 install -y --no-install-recommends ${names.join(' ')}`;
const installs = installsOf(...packages);
/** What a variable names stands for the program. */
const named = {
  MILLIARD_TEST_PG15_BIN: '/elsewhere/bin',
  MILLIARD_TEST_NGINX: '/elsewhere/nginx',
  MILLIARD_TEST_REDIS_SERVER: '/elsewhere/redis-server',
};
const updates = 'apt-get -q -o DPkg::Lock::Timeout=120 update';
const tests = ['npm test', 'npm run check'];

/** A made-up machine: its programs write down how they were called, and nothing of this machine is changed. */
let machine: string;
beforeEach(async () => {
  machine = await mkdtemp(join(tmpdir(), 'milliard-ci-'));
  await mkdir(join(machine, 'bin'));
  for (const name of ['bash', 'env', 'dirname', 'mkdir', 'tee', 'chmod', 'rm'])
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
const path = (name: Package): string => join(machine, programs[name]);
const policy = () => join(machine, 'usr/sbin/policy-rc.d');
/** `apt-get install` that leaves the programs where Debian's packages do, and writes down what it is told of starting servers. */
const apt = () =>
  stub(
    'apt-get',
    `case "$*" in *install*) "$MILLIARD_TEST_MACHINE/usr/sbin/policy-rc.d" || echo $? >"$MILLIARD_TEST_MACHINE/policy"; for word in $*; do
${packages.map((name) => `if [ $word = ${name} ]; then mkdir -p "${dirname(path(name))}"; >"${path(name)}"; chmod +x "${path(name)}"; fi`).join('\n')}
done;; esac`,
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

test('root on a bare machine installs the programs, without servers of their own', async () => {
  await user(0);
  await apt();
  expect(await run({ CI: 'true' })).toEqual({ code: 0, stderr: '', calls: [updates, installs, ...tests] });
  expect(await readFile(join(machine, 'etc/postgresql-common/createcluster.conf'), 'utf8')).toBe(
    'create_main_cluster = false\n',
  );
  expect(await readFile(join(machine, 'policy'), 'utf8')).toBe('101\n');
  await expect(readFile(policy())).rejects.toThrow('ENOENT');
});

test('only what is missing is installed', async () => {
  await user(0);
  await apt();
  await run({ MILLIARD_TEST_REDIS_SERVER: '/elsewhere/redis-server' });
  await rm(join(machine, 'calls'));
  await rm(path('nginx'));
  expect((await run({ CI: 'true' })).calls).toEqual([updates, installsOf('nginx', 'redis-server'), ...tests]);
});

test('settings of the machine that are there are kept', async () => {
  await user(0);
  await apt();
  const file = join(machine, 'etc/postgresql-common/createcluster.conf');
  await mkdir(dirname(file), { recursive: true });
  await writeFile(file, 'mine');
  await mkdir(dirname(policy()), { recursive: true });
  await writeFile(policy(), `#!${join(machine, 'bin/bash')}\nexit 104\n`, { mode: 0o755 });
  expect((await run()).code).toBe(0);
  expect(await readFile(file, 'utf8')).toBe('mine');
  expect([await readFile(join(machine, 'policy'), 'utf8'), await readFile(policy(), 'utf8')]).toEqual([
    '104\n',
    expect.stringContaining('exit 104'),
  ]);
});

test('nothing is installed where the programs are there, or are named', async () => {
  await user(0);
  await apt();
  expect((await run(named)).calls).toEqual(tests);
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
  expect(lenient).toMatchObject({ code: 0, stderr: expect.stringContaining('redis-server is missing') });
  expect(lenient.calls.slice(-2)).toEqual(tests);
  await rm(join(machine, 'calls'));
  const strict = await run({ CI: 'true' });
  expect(strict).toMatchObject({ code: 1, stderr: expect.stringContaining('redis-server is missing') });
  expect(strict.calls).not.toContain('npm test');
  await expect(readFile(policy())).rejects.toThrow('ENOENT');
});

test('a message stands for each package that is missing', async () => {
  await user(0);
  await stub('apt-get', 'exit 100');
  const { stderr } = await run({ MILLIARD_TEST_NGINX: '/elsewhere/nginx' });
  expect(stderr.trim().split('\n')).toEqual([
    'postgresql-15 is missing and was not installed. As root, on a Debian that has it: apt-get install postgresql-15; or name it in MILLIARD_TEST_PG15_BIN.',
    'redis-server is missing and was not installed. As root, on a Debian that has it: apt-get install redis-server; or name it in MILLIARD_TEST_REDIS_SERVER.',
  ]);
});

test('a failed test ends it with the exit code of npm', async () => {
  await user(0);
  await stub('npm', 'exit 7');
  expect(await run(named)).toMatchObject({ code: 7, calls: ['npm test'] });
});
