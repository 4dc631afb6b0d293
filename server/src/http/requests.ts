import { randomUUID } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';

const saneId = /^[A-Za-z0-9._:+/=-]{1,100}$/;

/** The client's X-Request-Id where it is harmless in a log and a header, else a new one. */
export function requestIdOf({ headers }: { readonly headers: IncomingHttpHeaders }): string {
  const given = headers['x-request-id'];
  return typeof given === 'string' && saneId.test(given) ? given : randomUUID();
}

/** The path of a request without its query. */
export function pathOf(url: string | undefined): string {
  const text = url ?? '/';
  const end = text.indexOf('?');
  return end === -1 ? text : text.slice(0, end);
}

/** Whether the percent-encodings of the query are UTF-8; those of the path are the router's business. */
export function isQueryWellFormed(url: string | undefined): boolean {
  const text = url ?? '';
  const start = text.indexOf('?');
  if (start === -1 || !text.includes('%', start)) return true;
  try {
    decodeURIComponent(text.slice(start));
    return true;
  } catch {
    return false;
  }
}
