import { expect, test } from 'vitest';
import { parsePostmasterPid } from './postmaster-pid.ts';

const READY = '4132\n/data/postgres\n1795233342\n5432\n.\n\n  2146339         4\nready   \n';

test('a full postmaster.pid is read line by line', () => {
  expect(parsePostmasterPid(READY)).toEqual({
    pid: 4132,
    dataDir: '/data/postgres',
    startedAtS: 1795233342,
    port: 5432,
    socketDir: '.',
    status: 'ready',
  });
});

test('a server that has just begun has written its first lines only', () => {
  expect(parsePostmasterPid('77\n/data\n1795233342\n5432\n\n')).toMatchObject({ pid: 77, socketDir: '', status: '' });
});

test('a single-user backend writes its pid negated', () => {
  expect(parsePostmasterPid('-77\n/data\n')?.pid).toBe(77);
});

test.each(['stopping', 'starting', 'standby'] as const)('the status %s is told', (status) => {
  expect(parsePostmasterPid(READY.replace('ready   ', status))?.status).toBe(status);
});

test.each(['', '\n', 'postgres\n/data\n', '0\n/data\n', '12x\n', '1.5\n', ' \0\0\0'])(
  'a damaged first line (%j) is no postmaster',
  (text) => {
    expect(parsePostmasterPid(text)).toBeNull();
  },
);
