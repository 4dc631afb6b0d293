import type { IncomingMessage } from 'node:http';
import type { Readable } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { z } from 'zod';
import { InvalidInputError } from '../core/errors.ts';
import { httpError } from './failure.ts';
import { parseJson } from './json-body.ts';

/** The header of every call that creates. */
export const idempotencyHeader = z.looseObject({
  'idempotency-key': z.string().optional().meta({
    description:
      '1 to 255 visible ASCII characters: sent again with the same key and body, the request changes nothing.',
  }),
});

/**
 * The Idempotency-Key of a request, or null.
 * @throws InvalidInputError unless it is 1 to 255 visible ASCII characters
 */
export function idempotencyKeyOf(headers: IncomingMessage['headers']): string | null {
  const key = headers['idempotency-key'];
  if (key === undefined) return null;
  if (typeof key === 'string' && /^[\x21-\x7e]{1,255}$/.test(key)) return key;
  throw new InvalidInputError([
    {
      pointer: '/headers/idempotency-key',
      code: 'invalid_value',
      detail: 'must be given once and have 1 to 255 visible ASCII characters',
    },
  ]);
}

/** The body of a request, unzipped. @throws DomainError `unsupported_media_type` */
export function decodedBody(message: IncomingMessage): Readable {
  const encoding = message.headers['content-encoding'] ?? 'identity';
  if (encoding === 'identity') return message;
  if (encoding !== 'gzip' && encoding !== 'x-gzip') {
    throw httpError('unsupported_media_type', 'Content-Encoding may be gzip or left out.');
  }
  // Not pipeline(): it would destroy the connection with a gzip that is broken, and nobody could be told.
  const gunzip = createGunzip();
  message.once('close', () => {
    if (!message.complete)
      gunzip.destroy(httpError('malformed_request', 'The connection ended before the request did.'));
  });
  return message.pipe(gunzip);
}

/**
 * The chunks of a stream as they are asked for; ends early when `signal` aborts. Unlike `for await` over a stream it leaves the
 * stream alone when it stops: destroying a request would close the connection before it is answered.
 */
export async function* chunksOf(source: Readable, signal: AbortSignal): AsyncGenerator<Buffer> {
  let wake = (): void => {};
  const onEvent = (): void => wake();
  source.on('readable', onEvent).on('end', onEvent).on('close', onEvent).on('error', onEvent);
  signal.addEventListener('abort', onEvent);
  try {
    while (!signal.aborted) {
      const chunk: Buffer | null = source.read();
      if (chunk !== null) {
        yield chunk;
        continue;
      }
      if (source.readableEnded) return;
      if (source.errored) throw source.errored;
      if (source.destroyed) throw httpError('malformed_request', 'The connection ended before the request did.');
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
  } finally {
    // The listener for errors stays: a late one must not end the process.
    source.off('readable', onEvent).off('end', onEvent).off('close', onEvent);
    signal.removeEventListener('abort', onEvent);
  }
}

const maxArrayRows = 1_000;

/**
 * A body that is a JSON array, whole.
 * @throws DomainError `body_too_large`, `too_many_rows`, `malformed_json`; InvalidInputError when it is no array
 */
export async function readJsonArray(chunks: AsyncIterable<Buffer>, limitBytes: number): Promise<readonly unknown[]> {
  const parts: Buffer[] = [];
  let size = 0;
  for await (const chunk of chunks) {
    size += chunk.length;
    if (size > limitBytes)
      throw httpError(
        'body_too_large',
        'The array is larger than this server takes. Send NDJSON: application/x-ndjson.',
      );
    parts.push(chunk);
  }
  const document = parseJson(Buffer.concat(parts));
  if (!Array.isArray(document)) {
    throw new InvalidInputError([
      {
        pointer: '',
        code: 'invalid_type',
        detail: 'must be an array of rows; NDJSON is sent as application/x-ndjson',
      },
    ]);
  }
  if (document.length > maxArrayRows) {
    throw httpError(
      'too_many_rows',
      `The array has ${document.length} rows; it may have ${maxArrayRows}. Send NDJSON: application/x-ndjson.`,
    );
  }
  return document;
}
