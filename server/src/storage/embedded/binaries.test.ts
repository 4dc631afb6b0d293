import { mkdir, mkdtemp, readlink, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { locateBinaries, parseSymlinks, prepareBinaries } from './binaries.ts';

const folders: string[] = [];
afterEach(async () => {
  for (const folder of folders.splice(0)) await rm(folder, { recursive: true, force: true });
});

/** A package with one library and one link that its install script was not allowed to make. */
async function fakePackage(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'milliard-package-'));
  folders.push(folder);
  for (const name of ['bin', 'lib', 'share']) await mkdir(join(folder, 'native', name), { recursive: true });
  await writeFile(join(folder, 'package.json'), JSON.stringify({ version: '18.4.0-beta.17' }));
  await writeFile(join(folder, 'native', 'bin', 'postgres'), '');
  await writeFile(join(folder, 'native', 'lib', 'libpq.so.5.18'), '');
  await writeFile(
    join(folder, 'native', 'pg-symlinks.json'),
    JSON.stringify([{ source: 'native/lib/libpq.so.5.18', target: 'native/lib/libpq.so.5' }]),
  );
  return folder;
}

const place = (privateRoot: string) => ({
  forAnotherAccount: false,
  sharedRoots: [],
  privateRoot,
  log: () => undefined,
});

test('a link is made relative to its own folder', () => {
  expect(parseSymlinks('[{"source":"native/lib/a.so.1.2","target":"native/lib/a.so"}]')).toEqual([
    { linkPath: 'native/lib/a.so', target: 'a.so.1.2' },
  ]);
});

test.each([
  '{}',
  '[{"source":"native/lib/a"}]',
  '[null]',
  '[{"source":"../../etc/passwd","target":"native/lib/a"}]',
  '[{"source":"native/lib/a","target":"/etc/cron.d/a"}]',
])('a list of links that leads elsewhere (%s) is refused', (text) => {
  expect(() => parseSymlinks(text)).toThrow(/damaged/);
});

test('missing links are made, twice without harm', async () => {
  const folder = await fakePackage();
  const binaries = await locateBinaries(folder);
  expect(binaries).toMatchObject({ major: '18', nativeDir: join(folder, 'native') });
  for (const _ of [1, 2]) expect(await prepareBinaries(binaries, place(join(folder, 'copy')))).toEqual(binaries);
  expect(await readlink(join(folder, 'native', 'lib', 'libpq.so.5'))).toBe('libpq.so.5.18');
});

test('a package that is not there leads to DATABASE_URL', async () => {
  await expect(locateBinaries('/nonexistent')).rejects.toMatchObject({
    code: 'binaries_missing',
    message: expect.stringContaining('DATABASE_URL'),
  });
});

test('the package of this platform is found', async () => {
  const binaries = await locateBinaries();
  expect(Number(binaries.major)).toBeGreaterThanOrEqual(18);
});
