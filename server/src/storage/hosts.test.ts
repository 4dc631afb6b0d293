import { describe, expect, test } from 'vitest';
import { createHosts, hostUrls, sessionTargets, suits } from './hosts.ts';

describe('hostUrls', () => {
  test('leaves a connection string with one host as it came', () => {
    for (const url of [
      'postgresql://u:p%2C@host:5433/db?sslmode=require',
      'postgresql://milliard@localhost/postgres?host=%2Ftmp%2Fa%2Cb',
      'postgresql:///db',
      'postgresql://@/db?host=%2Ftmp',
    ])
      expect(hostUrls(url)).toEqual({ urls: [url], target: 'any' });
  });

  test('makes one connection string a host and takes the target out', () => {
    expect(
      hostUrls('postgres://u:p@a:1,b,[::1]:3/db?sslmode=disable&target_session_attrs=read-write&application_name=x'),
    ).toEqual({
      urls: ['a:1', 'b', '[::1]:3'].map((host) => `postgres://u:p@${host}/db?sslmode=disable&application_name=x`),
      target: 'read-write',
    });
    expect(hostUrls('postgres://a/db?target_session_attrs=standby')).toEqual({
      urls: ['postgres://a/db'],
      target: 'standby',
    });
    expect(hostUrls('postgres://a,b')).toEqual({ urls: ['postgres://a', 'postgres://b'], target: 'any' });
  });
});

test('which servers will do', () => {
  const primary = { isStandby: false, isReadOnly: false };
  const closed = { isStandby: false, isReadOnly: true };
  const standby = { isStandby: true, isReadOnly: true };
  const table = sessionTargets.map((target) => [
    target,
    ...[primary, closed, standby].map((facts) => suits(target, facts, true)),
  ]);
  expect(table).toEqual([
    ['any', true, true, true],
    ['read-write', true, false, false],
    ['read-only', false, true, true],
    ['primary', true, true, false],
    ['standby', false, false, true],
    ['prefer-standby', false, false, true],
  ]);
  expect(suits('prefer-standby', primary, false)).toBe(true);
});

test('the host that was found good is tried first from then on', () => {
  const hosts = createHosts('postgres://a,b,c/db');
  expect(hosts.inOrder()).toEqual(['postgres://a/db', 'postgres://b/db', 'postgres://c/db']);
  hosts.prefer('postgres://b/db');
  expect(hosts.current()).toBe('postgres://b/db');
  expect(hosts.inOrder()).toEqual(['postgres://b/db', 'postgres://a/db', 'postgres://c/db']);
});
