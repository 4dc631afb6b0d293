import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { gzipSync } from 'node:zlib';
import { afterAll, expect, test } from 'vitest';
import { openInputFile } from './input-file.ts';

const folder = await mkdtemp(join(tmpdir(), 'milliard-input-'));
afterAll(() => rm(folder, { recursive: true }));

async function read(content: string | Buffer, from: 'file' | 'stdin' = 'file') {
  const path = join(folder, 'orders.dat');
  await writeFile(path, content);
  const bytes = Buffer.from(content as string);
  // A pipe may bring a byte at a time.
  const pipe = Readable.from(
    [...bytes].map((byte) => Buffer.of(byte)),
    { objectMode: false },
  );
  const file = await openInputFile(from === 'file' ? path : '-', pipe);
  try {
    const chunks: Uint8Array[] = [];
    for await (const chunk of file.chunks) chunks.push(chunk);
    return {
      text: Buffer.concat(chunks).toString(),
      format: file.format,
      totalBytes: file.totalBytes,
      bytesRead: file.bytesRead(),
    };
  } finally {
    await file.close();
  }
}

const csv = 'a,b\n1,2\n';

test.each(['file', 'stdin'] as const)('a plain %s and a packed one read alike, told by content', async (from) => {
  const packed = gzipSync(csv);
  const totalBytes = (size: number) => (from === 'file' ? size : null);
  expect(await read(csv, from)).toEqual({ text: csv, format: 'csv', totalBytes: totalBytes(8), bytesRead: 8 });
  expect(await read(packed, from)).toEqual({
    text: csv,
    format: 'csv',
    totalBytes: totalBytes(packed.length),
    bytesRead: packed.length,
  });
});

test('a file of several packed parts is read to its end', async () => {
  expect((await read(Buffer.concat([gzipSync('a,b\n'), gzipSync('1,2\n')]))).text).toBe(csv);
});

test('a brace begins NDJSON, byte order mark and blanks or not', async () => {
  expect((await read('\uFEFF\n {"a": 1}\n')).format).toBe('ndjson');
});

test.each<[string, string | Buffer, RegExp]>([
  ['an empty file', '', /is empty/],
  ['a packed empty file', gzipSync(''), /is empty/],
  ['a damaged packed file', gzipSync(csv.repeat(99)).subarray(0, 30), /damaged gzip/],
  ['a spreadsheet', Buffer.from('PK\u0003\u0004rest'), /spreadsheet/],
  ['UTF-16', Buffer.from('\uFEFFa,b', 'utf16le'), /UTF-16/],
  ['a JSON array', '[{"a": 1}]', /JSON array/],
])('%s is refused in a sentence', async (_, content, message) => {
  await expect(read(content)).rejects.toThrow(message);
});
