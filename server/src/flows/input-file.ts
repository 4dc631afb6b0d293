import { type FileHandle, open } from 'node:fs/promises';
import { pipeline, Readable } from 'node:stream';
import { createGunzip } from 'node:zlib';

/** A file that cannot be read; the message says what to do. */
export class InputFileError extends Error {
  override readonly name = 'InputFileError';
}

/** An opened file of orders, its compression undone. */
export interface InputFile {
  /** What it holds, to be read once. */
  readonly chunks: AsyncIterable<Uint8Array>;
  /** Told by its first character: a brace begins NDJSON. */
  readonly format: 'csv' | 'ndjson';
  /** Bytes on disk, null for a pipe. */
  readonly totalBytes: number | null;
  /** Of these bytes, how many were read so far. */
  bytesRead(): number;
  close(): Promise<void>;
}

const chunkBytes = 256 * 1024;

/**
 * Opens a file, plain or gzip: told by its content, never by its name. `-` reads standard input.
 * @throws InputFileError when there is no such file, or it is of a kind that cannot be imported
 */
export async function openInputFile(path: string, stdin: Readable): Promise<InputFile> {
  const file = path === '-' ? null : await openFile(path);
  let bytes = 0;
  const source = file === null ? stdin : file.createReadStream({ highWaterMark: chunkBytes, autoClose: false });
  const counted = async function* () {
    for await (const chunk of source as AsyncIterable<Buffer>) {
      bytes += chunk.length;
      yield chunk;
    }
  };
  const close = async () => {
    // Standard input too: while somebody waits for it, the process does not end.
    source.destroy();
    await file?.close();
  };
  try {
    const raw = await peek(counted());
    const unpacked = isGzip(raw.first) ? await peek(gunzip(raw.chunks, path)) : raw;
    return {
      chunks: unpacked.chunks,
      format: formatOf(unpacked.first, path),
      totalBytes: file === null ? null : (await file.stat()).size,
      bytesRead: () => bytes,
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

async function openFile(path: string): Promise<FileHandle> {
  try {
    const file = await open(path, 'r');
    if ((await file.stat()).isDirectory()) {
      await file.close();
      throw new InputFileError(`${path} is a folder. Give a file.`);
    }
    return file;
  } catch (error) {
    if (error instanceof InputFileError) throw error;
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown error';
    if (code === 'ENOENT') throw new InputFileError(`There is no file ${path}.`, { cause: error });
    throw new InputFileError(`${path} cannot be read (${code}).`, { cause: error });
  }
}

interface Peeked {
  /** The first bytes; empty for an empty source. */
  readonly first: Buffer;
  /** Everything, the first bytes included. */
  readonly chunks: AsyncIterable<Buffer>;
}

async function peek(source: AsyncIterable<Buffer>): Promise<Peeked> {
  const iterator = source[Symbol.asyncIterator]();
  let first: Buffer = Buffer.alloc(0);
  while (first.length < 4) {
    const { value, done } = await iterator.next();
    if (done === true) break;
    first = Buffer.concat([first, value]);
  }
  const chunks = async function* () {
    try {
      if (first.length > 0) yield first;
      for (let next = await iterator.next(); next.done !== true; next = await iterator.next()) yield next.value;
    } finally {
      await iterator.return?.();
    }
  };
  return { first, chunks: chunks() };
}

const isGzip = (first: Buffer): boolean => first[0] === 0x1f && first[1] === 0x8b;

async function* gunzip(chunks: AsyncIterable<Buffer>, path: string): AsyncGenerator<Buffer> {
  const unzip = createGunzip({ chunkSize: chunkBytes });
  pipeline(Readable.from(chunks, { objectMode: false }), unzip, () => {});
  try {
    for await (const chunk of unzip as AsyncIterable<Buffer>) yield chunk;
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && String(error.code).startsWith('Z_'))) throw error;
    throw new InputFileError(`${path} is a damaged gzip file (${error.message}). Fetch or pack it again.`, {
      cause: error,
    });
  }
}

function formatOf(first: Buffer, path: string): 'csv' | 'ndjson' {
  if (first.length === 0) throw new InputFileError(`${path} is empty.`);
  if (first[0] === 0x50 && first[1] === 0x4b && first[2] === 3 && first[3] === 4) {
    throw new InputFileError(`${path} is a ZIP archive or a spreadsheet. Unpack it, or save the sheet as CSV (UTF-8).`);
  }
  if ((first[0] === 0xff && first[1] === 0xfe) || (first[0] === 0xfe && first[1] === 0xff)) {
    throw new InputFileError(`${path} is UTF-16. Convert it: iconv -f utf-16 -t utf-8.`);
  }
  const text = first
    .toString('utf8')
    .replace(/^\uFEFF/, '')
    .trimStart();
  if (text.startsWith('[')) {
    throw new InputFileError(`${path} is a JSON array. Make one row a line of it: jq -c '.[]'.`);
  }
  return text.startsWith('{') ? 'ndjson' : 'csv';
}
