import { type Agent, request } from 'node:http';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';

export interface Upload {
  readonly url: string;
  readonly type: 'application/x-ndjson' | 'text/csv';
  /** Made before the clock starts. */
  readonly body: readonly Buffer[];
  readonly agent?: Agent;
}

export interface Uploaded {
  /** Until the summary was read. */
  readonly seconds: number;
  /** Lines of the answer before its summary. */
  readonly outcomes: readonly string[];
  /** What the server says became of the rows. */
  readonly summary: Readonly<Record<string, unknown>>;
}

/** Sends a bulk request. @throws Error when the answer has no summary */
export async function upload({ url, type, body, agent }: Upload): Promise<Uploaded> {
  const startedMs = performance.now();
  const length = body.reduce((sum, chunk) => sum + chunk.length, 0);
  const headers = { 'content-type': type, 'content-length': length };
  const { status, text } = await new Promise<{ status: number; text: string }>((resolve, reject) => {
    const outgoing = request(url, { method: 'POST', headers, ...(agent === undefined ? {} : { agent }) }, (answer) => {
      let received = '';
      answer.setEncoding('utf8');
      answer.on('data', (chunk: string) => {
        received += chunk;
      });
      answer.on('error', reject);
      answer.on('end', () => resolve({ status: answer.statusCode ?? 0, text: received }));
    });
    outgoing.on('error', reject);
    pipeline(Readable.from(body, { objectMode: false }), outgoing).catch(reject);
  });
  const seconds = (performance.now() - startedMs) / 1_000;
  const lines = text.trim().split('\n');
  const { summary } = JSON.parse(lines.at(-1) ?? '{}') as { readonly summary?: Record<string, unknown> };
  if (summary === undefined) throw new Error(`${url}: ${status} ${text.slice(-300)}`);
  return { seconds, outcomes: lines.slice(0, -1), summary };
}
