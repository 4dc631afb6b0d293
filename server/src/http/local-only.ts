import type { IncomingMessage } from 'node:http';
import { httpError } from './failure.ts';

const localNames = ['127.0.0.1', 'localhost', '[::1]'];

/**
 * Refuses what does not come from this machine's own programs and pages. A server that asks for no keys is open to every web
 * page in a browser on the same machine: by a name that the page's owner points at 127.0.0.1 (DNS rebinding: Host is theirs),
 * or by plain cross-site requests such as a form's POST (Origin is theirs).
 * @throws DomainError `foreign_host`, `foreign_origin`
 */
export function assertLocal({ headers, socket, method }: Pick<IncomingMessage, 'headers' | 'socket' | 'method'>): void {
  // inject() has no port; then any will do.
  const port: number | undefined = socket.localPort;
  if (!isOurs(headers.host ?? '', port)) {
    throw httpError(
      'foreign_host',
      'Without API keys this server answers only to 127.0.0.1, localhost and [::1] with its own port.',
    );
  }
  const { origin } = headers;
  const isForeign =
    origin === undefined
      ? isCrossSite(headers, method)
      : !origin.startsWith('http://') || !isOurs(origin.slice(7), port);
  if (isForeign)
    throw httpError('foreign_origin', 'Another web page made this request. Without API keys it is refused.');
}

function isOurs(authority: string, port: number | undefined): boolean {
  const match = /^(.+?)(?::(\d+))?$/.exec(authority.toLowerCase());
  if (match?.[1] === undefined || !localNames.includes(match[1])) return false;
  return port === undefined || Number(match[2] ?? 80) === port;
}

/** Browsers say so for requests without Origin. Following a link from elsewhere is harmless: that page cannot read the answer. */
function isCrossSite(headers: IncomingMessage['headers'], method: string | undefined): boolean {
  const site = headers['sec-fetch-site'];
  if (site === undefined || site === 'same-origin' || site === 'none') return false;
  return !(method === 'GET' && headers['sec-fetch-mode'] === 'navigate' && headers['sec-fetch-dest'] === 'document');
}
