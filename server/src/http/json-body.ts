import { isUtf8 } from 'node:buffer';
import type { FastifyInstance } from 'fastify';
import { httpError } from './failure.ts';

/** JSON in UTF-8. @throws DomainError `invalid_utf8`, `malformed_json` */
export function parseJson(bytes: Buffer): unknown {
  if (!isUtf8(bytes)) throw httpError('invalid_utf8', 'The body is not UTF-8.');
  const text = bytes.toString('utf8');
  try {
    return JSON.parse(text.startsWith('\uFEFF') ? text.slice(1) : text);
  } catch (error) {
    throw httpError('malformed_json', `The body is not valid JSON${placeOf(error)}.`);
  }
}

/** ` (at character 17)` where the parser says so. Its own words are not repeated: they quote the input. */
export function placeOf(error: unknown): string {
  const position = error instanceof Error ? /position (\d+)/.exec(error.message)?.[1] : undefined;
  return position === undefined ? '' : ` (at character ${Number(position) + 1})`;
}

/** Takes application/json and nothing else: the types a web page's form can send get 415. */
export function addJsonBodies(fastify: FastifyInstance): void {
  fastify.removeAllContentTypeParsers();
  fastify.addContentTypeParser('application/json', { parseAs: 'buffer' }, (request, body, done) => {
    const encoding = request.headers['content-encoding'];
    if (encoding !== undefined && encoding !== 'identity') {
      return done(httpError('unsupported_media_type', 'This call takes no Content-Encoding.'));
    }
    try {
      done(null, parseJson(body as Buffer));
    } catch (error) {
      done(error as Error);
    }
  });
}
