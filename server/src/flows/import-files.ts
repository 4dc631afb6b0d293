import { createHash } from 'node:crypto';
import { type BigIntStats, createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { Readable } from 'node:stream';
import type { FileFacts, ImportFiles } from '../jobs/imports/import-files.ts';
import { openInputFile } from './input-file.ts';
import { openRejectedLinesFile } from './rejected-lines-file.ts';

/** The files of this machine for imports. What was inspected once is not read again while it stays as it is. */
export function createImportFiles(): ImportFiles {
  const inspected = new Map<string, { readonly state: string; readonly facts: FileFacts }>();
  return {
    async inspect(path) {
      const known = inspected.get(path);
      const state = await stateOf(path);
      if (known !== undefined && known.state === state) return known.facts;
      const facts = await inspect(path);
      if (state !== null) inspected.set(path, { state, facts });
      return facts;
    },
    open: (path) => openInputFile(path, noInput()),
    openRejected: async (path) =>
      path === null ? { add: async () => {}, close: async () => {} } : openRejectedLinesFile(path),
  };
}

const noInput = (): Readable => Readable.from([]);

/** What changes when the file does; null where there is none. */
async function stateOf(path: string): Promise<string | null> {
  const found: BigIntStats | null = await stat(path, { bigint: true }).catch(() => null);
  return found === null ? null : `${found.dev} ${found.ino} ${found.size} ${found.mtimeNs}`;
}

/** @throws InputFileError */
async function inspect(path: string): Promise<FileFacts> {
  const file = await openInputFile(path, noInput());
  try {
    const [sha256, lines] = await Promise.all([sha256Of(path), linesOf(file.chunks)]);
    return { format: file.format, sha256, lines };
  } finally {
    await file.close();
  }
}

async function sha256Of(path: string): Promise<string> {
  const sum = createHash('sha256');
  for await (const chunk of createReadStream(path, { highWaterMark: 1024 * 1024 })) sum.update(chunk as Buffer);
  return sum.digest('hex');
}

const newline = 10;

async function linesOf(chunks: AsyncIterable<Uint8Array>): Promise<number> {
  let lines = 0;
  let last = newline;
  for await (const chunk of chunks) {
    for (let at = chunk.indexOf(newline); at >= 0; at = chunk.indexOf(newline, at + 1)) lines++;
    last = chunk[chunk.length - 1] ?? last;
  }
  return last === newline ? lines : lines + 1;
}
