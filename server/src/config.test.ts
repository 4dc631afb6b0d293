import { describe, expect, test } from 'vitest';
import { ConfigError, configVariables, type Environment, parseConfig } from './config.ts';

function faultsOf(environment: Environment, flags = {}): readonly string[] {
  try {
    parseConfig(environment, flags);
    return [];
  } catch (error) {
    if (error instanceof ConfigError) return error.faults;
    throw error;
  }
}

describe('parseConfig', () => {
  test('needs nothing', () => {
    expect(parseConfig({ PATH: '/bin' })).toMatchObject({
      http: {
        host: '127.0.0.1',
        port: 8000,
        bodyLimitBytes: 1_048_576,
        trackRequestsPerMinute: 120,
        trustProxy: [],
      },
      database: { url: null, dataDir: '.milliard', poolSize: 10, readClients: 3, statementTimeoutMs: 10_000 },
      redisUrl: null,
      currency: 'EUR',
      groupCommit: true,
      logLevel: 'info',
    });
  });

  test('reads every setting; a flag wins over the environment', () => {
    const config = parseConfig(
      {
        MILLIARD_PORT: '9000',
        MILLIARD_HOST: '::1',
        MILLIARD_CURRENCY: 'GBP',
        MILLIARD_GROUP_COMMIT: 'off',
        MILLIARD_LOG_LEVEL: 'debug',
        DATABASE_URL: 'postgres://u:p@h/d',
        REDIS_URL: 'rediss://h',
        MILLIARD_POOL_SIZE: '20',
        MILLIARD_STATEMENT_TIMEOUT_MS: '0',
        MILLIARD_TRACK_REQUESTS_PER_MINUTE: '30',
        MILLIARD_TRUST_PROXY: 'loopback, 10.0.0.5,172.16.0.0/12,fd00::/8',
      },
      { port: '9001', dataDir: '/data' },
    );
    expect(config).toMatchObject({
      http: {
        host: '::1',
        port: 9001,
        trackRequestsPerMinute: 30,
        trustProxy: ['loopback', '10.0.0.5', '172.16.0.0/12', 'fd00::/8'],
      },
      database: { url: 'postgres://u:p@h/d', dataDir: '/data', poolSize: 20, statementTimeoutMs: 0 },
      redisUrl: 'rediss://h',
      currency: 'GBP',
      groupCommit: false,
      logLevel: 'debug',
    });
  });

  test('reports every fault at once, each with its name', () => {
    const faults = faultsOf({
      MILLIARD_PORT: '70000',
      MILLIARD_POOL_SIZE: '1',
      MILLIARD_READ_CLIENTS: 'three',
      MILLIARD_STATEMENT_TIMEOUT_MS: '-1',
      MILLIARD_BODY_LIMIT_BYTES: '1e6',
      MILLIARD_CURRENCY: 'euro',
      MILLIARD_GROUP_COMMIT: 'yes',
      MILLIARD_LOG_LEVEL: 'loud',
      MILLIARD_HOST: '',
      MILLIARD_TRACK_REQUESTS_PER_MINUTE: '0',
      MILLIARD_TRUST_PROXY: 'loopback,on',
      DATABASE_URL: 'mysql://h',
      REDIS_URL: 'http://h',
      MILLIARD_PROT: '1',
    });
    for (const name of [
      'MILLIARD_PORT',
      'MILLIARD_POOL_SIZE',
      'MILLIARD_READ_CLIENTS',
      'MILLIARD_STATEMENT_TIMEOUT_MS',
      'MILLIARD_BODY_LIMIT_BYTES',
      'MILLIARD_CURRENCY',
      'MILLIARD_GROUP_COMMIT',
      'MILLIARD_LOG_LEVEL',
      'MILLIARD_HOST',
      'MILLIARD_TRACK_REQUESTS_PER_MINUTE',
      'MILLIARD_TRUST_PROXY',
      'DATABASE_URL',
      'REDIS_URL',
      'MILLIARD_PROT',
    ]) {
      expect(faults.filter((fault) => fault.startsWith(`${name} `))).toHaveLength(1);
    }
    expect(faults).toHaveLength(14);
  });

  test.each(['on', 'true', '*', '1', '0.0.0.0/0', '::/0', '10.0.0.0/33', 'fd00::/129', '10.0.0', '10.0.0.1/8/8', ','])(
    'trusts no proxy called %j: a client would choose its own address',
    (value) => {
      const faults = faultsOf({ MILLIARD_TRUST_PROXY: value });
      expect(faults.length).toBeGreaterThan(0);
      for (const fault of faults) expect(fault).toMatch(/^MILLIARD_TRUST_PROXY holds ".*": give off, or/);
    },
  );

  test('knows no setting by another name, but leaves those of the tests alone', () => {
    expect(faultsOf({ MILLIARD_port: '1' })).toEqual([
      expect.stringContaining('MILLIARD_port is not a setting. Known: MILLIARD_PORT'),
    ]);
    expect(faultsOf({ MILLIARD_TEST_PG15_BIN: '/x', OTHER_PORT: 'x' })).toEqual([]);
    expect(faultsOf({ MILLIARD___proto__: '1' })).toHaveLength(1);
  });

  test('names the flag where the flag is wrong', () => {
    expect(faultsOf({ MILLIARD_PORT: '9000' }, { port: 'http' })).toEqual([expect.stringMatching(/^--port is "http"/)]);
  });

  test('never repeats what may be a secret', () => {
    const faults = faultsOf({
      DATABASE_URL: 'mysql://root:hunter2@h',
      REDIS_URL: 'hunter2',
      MILLIARD_API_KEY: 'hunter2',
    });
    expect(faults).toHaveLength(3);
    expect(faults.join()).not.toContain('hunter2');
  });

  test('is frozen through and through', () => {
    const config = parseConfig({});
    for (const part of [config, config.http, config.http.drain, config.database])
      expect(Object.isFrozen(part)).toBe(true);
  });

  test('describes every variable', () => {
    for (const meaning of Object.values(configVariables)) expect(meaning.length).toBeGreaterThan(10);
  });
});
