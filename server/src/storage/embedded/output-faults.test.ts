import { expect, test } from 'vitest';
import {
  explainOutput,
  findMissingLibrary,
  isStillShuttingDown,
  lastLines,
  remedyForLibrary,
} from './output-faults.ts';

const LINUX =
  '/x/bin/postgres: error while loading shared libraries: libstdc++.so.6: cannot open shared object file: No such file or directory';

test('the library that the loader missed is named', () => {
  expect(findMissingLibrary(LINUX)).toBe('libstdc++.so.6');
  expect(
    findMissingLibrary('dyld[1]: Library not loaded: /usr/local/lib/libicuuc.68.dylib\n  Referenced from: …'),
  ).toBe('libicuuc.68.dylib');
  expect(findMissingLibrary('FATAL:  could not open file')).toBeNull();
});

test('a library of the system comes with its Debian package, one of the npm package with npm install', () => {
  expect(remedyForLibrary('libstdc++.so.6')).toContain('apt-get install libstdc++6');
  expect(remedyForLibrary('libgcc_s.so.1')).toContain('apt-get install libgcc-s1');
  expect(remedyForLibrary('libicuuc.so.60')).toContain('npm install');
  expect(remedyForLibrary('libxml2.so.2')).toContain('npm install');
  expect(remedyForLibrary('libunheard.so.3')).toContain('apt-file search libunheard.so.3');
});

test('a missing library, a full disk and a program that the system cannot run have codes of their own', () => {
  expect(explainOutput('start', '/d', LINUX)).toMatchObject({ code: 'missing_library' });
  expect(explainOutput('start', '/d', 'FATAL:  could not write: No space left on device')).toMatchObject({
    code: 'disk_full',
  });
  expect(explainOutput('initialise', '/d', 'initdb: Disk quota exceeded')).toMatchObject({ code: 'disk_full' });
  expect(
    explainOutput('start', '/d', 'unshare: failed to execute /x/bin/postgres: No such file or directory'),
  ).toMatchObject({ code: 'unsupported_platform' });
});

test('anything else shows the last lines of what PostgreSQL said', () => {
  const error = explainOutput('start', '/d', 'LOG:  Future log output will appear\nFATAL:  bad thing\n\n');
  expect(error.code).toBe('start_failed');
  expect(error.message).toContain('  FATAL:  bad thing');
  expect(error.message).not.toContain('Future log');
  expect(explainOutput('initialise', '/d', '').code).toBe('init_failed');
});

test('the last lines are bounded', () => {
  expect(lastLines('a\nb\nc\nd\n', 2)).toBe('  c\n  d');
});

test('a predecessor that has not ended yet is told from other failures', () => {
  expect(isStillShuttingDown('FATAL:  pre-existing shared memory block (key 1, ID 2) is still in use')).toBe(true);
  expect(isStillShuttingDown('FATAL:  lock file "postmaster.pid" already exists')).toBe(true);
  expect(isStillShuttingDown('FATAL:  could not create lock file "postmaster.pid": Permission denied')).toBe(false);
});
