import { describe, expect, test } from 'vitest';
import { negotiate } from './accept.ts';
import { expectedVersion, isKnownVersion } from './etag.ts';
import { assertLocal } from './local-only.ts';
import { isQueryWellFormed, requestIdOf } from './requests.ts';

describe('Accept', () => {
  const offers = ['application/x-ndjson', 'text/csv'] as const;
  test.each([
    [undefined, 'application/x-ndjson'],
    ['*/*', 'application/x-ndjson'],
    ['text/csv', 'text/csv'],
    ['text/*', 'text/csv'],
    ['application/x-ndjson;q=0.5, text/csv', 'text/csv'],
    ['text/csv;q=0.1, */*', 'application/x-ndjson'],
    ['application/x-ndjson;q=0, */*', 'text/csv'],
  ])('%j chooses %s', (accept, chosen) => {
    expect(negotiate(accept, offers)).toBe(chosen);
  });
  test('that wants something else is refused', () => {
    expect(() => negotiate('application/json', offers)).toThrow(expect.objectContaining({ code: 'not_acceptable' }));
  });
});

describe('ETags', () => {
  test.each([
    ['"v3"', true],
    ['W/"v3"', true],
    ['"v2", "v3"', true],
    ['*', true],
    ['"v2"', false],
    ['v3', false],
    [undefined, false],
  ])('If-None-Match %j knows version 3: %j', (header, known) => {
    expect(isKnownVersion(header, 3)).toBe(known);
  });
  test('If-Match names a version, or any', () => {
    expect(expectedVersion('"v7"')).toBe(7);
    expect(expectedVersion('*')).toBeNull();
    expect(expectedVersion(undefined)).toBeNull();
    expect(() => expectedVersion('"other"')).toThrow(expect.objectContaining({ code: 'version_mismatch' }));
    for (const bad of ['v7', '"v1", "v2"', ''])
      expect(() => expectedVersion(bad)).toThrow(expect.objectContaining({ code: 'invalid_input' }));
  });
});

describe('a server without keys', () => {
  const check = (headers: Record<string, string>, method = 'GET', localPort = 8000) =>
    assertLocal({ headers, method, socket: { localPort } as never });
  const code = (expected: string) => expect.objectContaining({ code: expected });

  test.each(['127.0.0.1:8000', 'localhost:8000', '[::1]:8000', 'LOCALHOST:8000'])('answers to %s', (host) => {
    expect(() => check({ host })).not.toThrow();
    expect(() => check({ host, origin: `http://${host}` }, 'POST')).not.toThrow();
  });
  test.each([
    'evil.example:8000',
    '127.0.0.1:9000',
    'localhost.evil.example:8000',
    '127.0.0.1.nip.io:8000',
    'localhost',
    '',
    '[::1]',
  ])('does not answer to %j', (host) => {
    expect(() => check({ host })).toThrow(code('foreign_host'));
  });
  test.each([
    'http://evil.example',
    'null',
    'https://localhost:8000',
    'http://localhost:3000',
    'http://localhost:8000.evil.example',
  ])('refuses the page of %s', (origin) => {
    expect(() => check({ host: 'localhost:8000', origin }, 'POST')).toThrow(code('foreign_origin'));
  });
  test('refuses what a foreign page embeds, but lets a link lead here', () => {
    const host = 'localhost:8000';
    expect(() => check({ host, 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'no-cors' })).toThrow(
      code('foreign_origin'),
    );
    expect(() =>
      check({ host, 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'document' }),
    ).not.toThrow();
    expect(() =>
      check(
        { host, 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'document' },
        'POST',
      ),
    ).toThrow(code('foreign_origin'));
  });
});

describe('a request', () => {
  test('keeps a sane X-Request-Id and gets a new one instead of any other', () => {
    expect(requestIdOf({ headers: { 'x-request-id': 'abc-123' } })).toBe('abc-123');
    for (const bad of ['', 'a b', 'a\r\nb', 'x'.repeat(101), '{"a":1}']) {
      expect(requestIdOf({ headers: { 'x-request-id': bad } })).toMatch(/^[0-9a-f-]{36}$/);
    }
  });
  test('with percent-encodings that are not UTF-8 is recognised', () => {
    expect(isQueryWellFormed('/a?b=%C3%BC')).toBe(true);
    for (const bad of ['/a?b=%', '/a?b=%zz', '/a?b=%ff', '/a?%E0%A4%A']) expect(isQueryWellFormed(bad)).toBe(false);
  });
});
