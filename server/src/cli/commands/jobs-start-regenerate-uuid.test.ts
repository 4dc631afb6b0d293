import { Readable, Writable } from 'node:stream';
import { expect, test } from 'vitest';
import type { CliContext } from '../context.ts';
import { runCli } from '../program.ts';

/** Runs a command line in a pipe: nobody can be asked. No database is there. */
async function milliard(args: readonly string[]) {
  let output = '';
  const stream = () =>
    new Writable({
      write(chunk, _encoding, done) {
        output += String(chunk);
        done();
      },
    });
  const context: CliContext = {
    environment: {},
    stdin: Readable.from([]),
    stdout: stream(),
    stderr: stream(),
    signal: new AbortController().signal,
    packageDir: '',
    version: '1.2.3',
  };
  const code = await runCli(args, context);
  return { code, output };
}

const command = ['jobs', 'start', 'regenerate-uuid', '--table', 'public.t', '--column', 'token'];

test.each([[[]], [['--database-url', 'postgres://user:hunter2@127.0.0.1:1/shop']], [['--detach']]])(
  'where nobody can be asked, nothing is done without --yes: %j',
  async (more: string[]) => {
    const { code, output } = await milliard([...command, ...more]);
    expect(code).toBe(2);
    expect(output).toMatch(/Nobody can be asked here, and every value of the column would be replaced\. Add --yes/);
    expect(output).not.toContain('hunter2');
  },
);

test.each([
  [['--yes', '--database-url', 'mysql://user:hunter2@db/shop'], 'must begin with postgres://'],
  [['--yes', '--database-url', 'postgres://db/shop', '--detach'], '--detach leaves the run to servers'],
  [['--yes', '--forget'], 'go with --recheck'],
])('flags that do not fit are a usage error: %j', async (more, sentence) => {
  const { code, output } = await milliard([...command, ...more]);
  expect(code).toBe(2);
  expect(output).toContain(sentence);
  expect(output).not.toContain('hunter2');
});
