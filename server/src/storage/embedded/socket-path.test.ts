import { chmod, mkdir, mkdtemp, readlink, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { connectionUrl, removeSocketDir, socketDirFor } from './socket-path.ts';

const LONG = `/data/${'x'.repeat(120)}/postgres`;
const privateName = `milliard-${process.getuid?.() ?? 0}`;
let temporary = '';
beforeEach(async () => {
  temporary = await mkdtemp(join(tmpdir(), 'socket-'));
});
afterEach(() => rm(temporary, { recursive: true, force: true }));

test('a short path is used as it is', async () => {
  expect(await socketDirFor('/data/.milliard/postgres', temporary)).toBe('/data/.milliard/postgres');
});

test('a long path gets a short link in a private folder, always the same one', async () => {
  const short = await socketDirFor(LONG, temporary);
  expect(await readlink(short)).toBe(LONG);
  expect((await stat(join(temporary, privateName))).mode & 0o777).toBe(0o700);
  expect(await socketDirFor(LONG, temporary)).toBe(short);
  expect(await socketDirFor(`${LONG}2`, temporary)).not.toBe(short);
  await removeSocketDir(LONG, short);
  expect(await socketDirFor(LONG, temporary)).toBe(short);
});

test('a folder that others may write to is not trusted', async () => {
  await mkdir(join(temporary, privateName));
  await chmod(join(temporary, privateName), 0o777);
  await expect(socketDirFor(LONG, temporary)).rejects.toMatchObject({ code: 'not_writable' });
});

test('a temporary folder that is too long as well is refused', async () => {
  await expect(socketDirFor(LONG, `/tmp/${'y'.repeat(100)}`)).rejects.toMatchObject({ code: 'path_too_long' });
});

test('special characters of a path survive in the url', () => {
  const url = connectionUrl("/a b/ü'&?x=1");
  expect(new URLSearchParams(url.slice(url.indexOf('?'))).get('host')).toBe("/a b/ü'&?x=1");
});
