import { Readable, Writable } from 'node:stream';
import { expect, test } from 'vitest';
import { parseConfig } from '../config.ts';
import { testDatabase } from '../testing/test-database.ts';
import { until } from '../testing/test-jobs.ts';
import { createOutput } from './output.ts';
import { serveUntilStopped } from './serving.ts';

const { url: databaseUrl } = await testDatabase();

test('a server that cannot greet, for its database was lost in that moment, warns and serves', async () => {
  let printed = '';
  const stream = () =>
    new Writable({
      write(chunk, _encoding, done) {
        printed += String(chunk);
        done();
      },
    });
  const environment = { MILLIARD_PORT: '0' };
  const streams = { stdin: Readable.from([]), stdout: stream(), stderr: stream() };
  const stopper = new AbortController();
  const { signal } = stopper;
  const config = parseConfig(environment);
  let url = '';
  const served = serveUntilStopped({
    run: {
      context: { ...streams, environment, signal, packageDir: '', version: '' },
      output: createOutput({ ...streams, json: false, environment }),
      signal,
      config: () => config,
    },
    config,
    databaseUrl,
    mode: 'dev',
    onListening(address) {
      url = address;
      return Promise.reject(new Error('the connection was lost.'));
    },
  });
  try {
    // A server that ends because of it ends this wait with its error.
    await Promise.race([served, until(() => printed.includes('the connection was lost'))]);
    const answer = await fetch(`${url}/healthz`);
    expect([answer.status, await answer.json()]).toEqual([200, { status: 'alive' }]);
    expect(printed).toContain(`Milliard serves ${url}, but: the connection was lost. Requests get 503`);
  } finally {
    stopper.abort();
    await served;
  }
});
