import { readFile } from 'node:fs/promises';
import { beforeAll, describe, expect, test } from 'vitest';
import { formatOpenApi } from './openapi.ts';
import { problemTypes } from './problems.ts';
import { openApiDocument } from './server.ts';

interface Operation {
  readonly summary?: string;
  readonly description?: string;
  readonly security?: readonly object[];
  readonly responses: Readonly<Record<string, { readonly description: string }>>;
}
interface Document {
  readonly openapi: string;
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly components: { readonly schemas: Readonly<Record<string, object>> };
}

let document: Document;
beforeAll(async () => {
  document = (await openApiDocument()) as Document;
});

describe('the OpenAPI document', () => {
  test('is the one in server/openapi.json', async () => {
    const stored = await readFile(new URL('../../openapi.json', import.meta.url), 'utf8');
    expect(
      formatOpenApi(document) === stored,
      'server/openapi.json is outdated. Renew it: npx milliard openapi --write',
    ).toBe(true);
  });

  test('refers only to schemas that it holds, and holds none that nothing refers to', () => {
    const referred = new Set(
      [...JSON.stringify(document).matchAll(/#\/components\/schemas\/(\w+)/g)].map((match) => match[1]),
    );
    expect([...referred].sort()).toEqual(Object.keys(document.components.schemas).sort());
  });

  test('says of every call what it does, what it answers, and under /api/v1 that it needs a key', () => {
    expect(document.openapi).toBe('3.1.0');
    for (const [path, operations] of Object.entries(document.paths)) {
      for (const operation of Object.values(operations)) {
        expect(operation.summary, path).toBeTruthy();
        expect(Object.keys(operation.responses).length).toBeGreaterThan(0);
        expect(operation.security !== undefined, path).toBe(path.startsWith('/api/v1/'));
        if (path.startsWith('/api/v1/track/')) {
          expect(operation.security).toEqual([]);
          expect(Object.keys(operation.responses)).toEqual(['200', '400', '404', '429', '500', '503']);
        } else if (path.startsWith('/api/v1/'))
          expect(Object.keys(operation.responses)).toEqual(expect.arrayContaining(['400', '401', '403', '500', '503']));
      }
    }
  });

  test('says of the reads that ask several shards, and of no other, that they share no snapshot on Citus', () => {
    const torn = Object.entries(document.paths).filter(([, { get }]) => get?.description?.includes('no snapshot'));
    expect(torn.map(([path]) => path.replace('/api/v1/', '')).sort()).toEqual([
      'orders',
      'orders/cancelled',
      'orders/count',
      'orders/export',
      'orders/histogram',
      'shipments',
      'shipments/count',
      'tickets',
      'usage/metrics',
      'usage/over-limit',
      'usage/subscriptions',
    ]);
  });

  test('has examples that are no stand-ins', () => {
    expect(document.components.schemas['Order']).toHaveProperty('examples');
    expect(document.components.schemas['NewOrder']).toHaveProperty('examples');
  });

  test('names only problems that exist', () => {
    const named = [...JSON.stringify(document).matchAll(/\/problems\/([a-z_]+)/g)].map((match) => match[1] ?? '');
    for (const code of named) expect(problemTypes).toHaveProperty(code);
  });
});
