import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type MilliardProcess, runMilliard, startMilliard } from '../testing/milliard-process.ts';

let dataDir: string;
let server: MilliardProcess;
beforeAll(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'milliard-tickets-'));
  server = await startMilliard({ args: ['dev', '--data-dir', dataDir] });
});
afterAll(async () => {
  await server.stop('SIGTERM');
  await rm(dataDir, { recursive: true, force: true });
});

const milliard = async (...args: string[]) => {
  const { code, stdout, stderr } = await runMilliard({ args: [...args, '--json', '--data-dir', dataDir] });
  const documents =
    stdout.trim() === ''
      ? []
      : stdout
          .trim()
          .split('\n')
          .map((line) => JSON.parse(line));
  return { code, documents, stderr };
};

/** `milliard tickets verify -` with a token on its standard input. */
async function verify(token: string) {
  const args = ['tickets', 'verify', '-', '--json', '--data-dir', dataDir];
  const { code, stdout, stderr } = await runMilliard({ args, input: `${token}\n` });
  return { code, answer: JSON.parse(stdout), stderr };
}

test('the line that a first start prints verifies a token without showing it', async () => {
  while (!server.output().includes('Ctrl-C stops it')) await new Promise((resolve) => setTimeout(resolve, 10));
  const [, line = ''] = /^ {2}(curl -s .*\/verify.*)$/m.exec(server.output()) ?? [];
  const shell = spawn('sh', ['-c', line.replace('curl -X POST', 'curl -s -X POST')]);
  const answer = await text(shell.stdout);
  expect(JSON.parse(answer)).toMatchObject({ result: 'valid', ticket: { event: expect.any(String) } });
  expect(server.output()).not.toMatch(/[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-/);
});

test('tickets are made, listed, shown, verified and made void from the command line', async () => {
  const made = await milliard('tickets', 'generate', '--count', '2500', '--events', '5');
  expect([made.code, made.documents.at(-1)]).toMatchObject([0, { state: 'done', counts: { created: 2_500 } }]);
  const listed = await milliard('tickets', 'list', '--event', 'EVENT0003', '--limit', '500');
  expect(listed.documents).toHaveLength(500);
  const [ticket] = listed.documents;
  expect((await milliard('tickets', 'get', ticket.ticket_id)).documents).toEqual([ticket]);
  const { token } = (await (await fetch(`${server.url}/api/v1/tickets/${ticket.ticket_id}/token`)).json()) as {
    token: string;
  };
  expect(await verify(token)).toMatchObject({ code: 0, answer: { result: 'valid', ticket } });
  const voided = await milliard('tickets', 'void', ticket.ticket_id, '--reason', 'refunded');
  expect(voided.documents[0]).toMatchObject({
    status: 'void',
    void_reason: 'refunded',
    voided_by: expect.stringMatching(/^cli/),
  });
  const after = await verify(token);
  expect(after).toMatchObject({ code: 3, answer: { result: 'void' } });
  expect(JSON.stringify(after)).not.toContain(token);
  expect(await verify('nonsense')).toMatchObject({ code: 3, answer: { result: 'unknown', ticket: null } });
});
