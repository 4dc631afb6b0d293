import { createInterface } from 'node:readline';
import { type AcquireOptions, acquireEmbedded } from './embedded-postgres.ts';

/**
 * A client process for the tests: acquires what its argument says (AcquireOptions as JSON), prints one line about it,
 * and releases when a line comes in. Being killed with -9 in between is its purpose.
 */
const options: AcquireOptions = JSON.parse(process.argv[2] ?? '{}');
const say = (message: object): void => console.log(JSON.stringify(message));

try {
  const server = await acquireEmbedded(options);
  say({ event: 'acquired', startedHere: server.startedHere, url: server.url });
  const input = createInterface({ input: process.stdin });
  input.once('line', async () => {
    await server.release();
    say({ event: 'released' });
    input.close();
  });
} catch (error) {
  say({ event: 'failed', error: String(error) });
}
