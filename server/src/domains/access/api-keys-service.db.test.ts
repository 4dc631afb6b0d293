import { hash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { systemClock } from '../../core/time.ts';
import type { Database } from '../../storage/database.ts';
import { dynamic, type Statement, sql } from '../../storage/sql.ts';
import { openTestDatabase } from '../../testing/open-database.ts';
import { createApiKeys } from './api-keys-service.ts';

const { db } = await openTestDatabase();
const keys = createApiKeys({ db, clock: systemClock });
const create = async (scopes: Parameters<typeof keys.create>[0]['scopes'] = ['orders:read']) =>
  keys.create({ name: 'a shop', scopes, actor: 'me' });

describe('API keys', () => {
  test('exist once one is in force', async () => {
    expect(await keys.exists()).toBe(false);
    const { key } = await create();
    expect(await keys.exists()).toBe(true);
    await keys.revoke(key.keyId, 'me');
    expect(await keys.exists()).toBe(false);
  });

  test('open what their scopes allow', async () => {
    const { key, text } = await create(['orders:read', 'orders:import']);
    expect(await keys.authenticate(text, 'orders:read')).toEqual(key);
    expect(await keys.authenticate(text, 'orders:import')).toEqual(key);
    await expect(keys.authenticate(text, 'orders:write')).rejects.toMatchObject({
      code: 'forbidden',
      facts: { scope: 'orders:write' },
    });
    expect(await keys.authenticate((await create(['admin'])).text, 'orders:write')).toMatchObject({
      scopes: ['admin'],
    });
  });

  test('are stored hashed: neither the key nor its secret is anywhere in the database', async () => {
    const { key, text } = await create();
    const secret = text.split('_')[2] ?? '';
    const tables = await db.query(
      dynamic<{ row: string }>(
        sql`select row_to_json(k)::text as row from api_keys k union all select row_to_json(a)::text from audit_log a`,
      ),
    );
    expect(tables.length).toBeGreaterThan(1);
    for (const { row } of tables) expect(row).not.toContain(secret);
    expect(await db.query(dynamic(sql`select secret_hash from api_keys where key_id = ${key.keyId}`))).toEqual([
      { secret_hash: hash('sha256', secret, 'buffer') },
    ]);
    expect(JSON.stringify(await keys.list())).not.toContain(secret);
    expect(JSON.stringify(await keys.authenticate(text, 'orders:read'))).not.toMatch(/secret/i);
  });

  test.each([
    ['nothing', () => ''],
    ['another secret', (text: string) => text.replace(/.$/, (c) => (c === 'a' ? 'b' : 'a'))],
    ['another id', (text: string) => text.replace(/^mk_./, (c) => (c === 'mk_0' ? 'mk_1' : 'mk_0'))],
    ['more', (text: string) => `${text}a`],
    ['SQL', () => "mk_' or 1=1 --"],
    ['NUL', (text: string) => `${text}\u0000`],
  ])('do not open for %s; the answer is the same for all', async (_, change) => {
    const { text } = await create();
    await expect(keys.authenticate(change(text), 'orders:read')).rejects.toMatchObject({
      code: 'unauthenticated',
      message: 'Send a valid API key: Authorization: Bearer mk_…',
      facts: {},
    });
  });

  test('open nothing from the moment they are revoked, and are revoked once', async () => {
    const { key, text } = await create();
    await keys.authenticate(text, 'orders:read');
    const revoked = await keys.revoke(key.keyId, 'me');
    expect(revoked.revokedAt).not.toBeNull();
    await expect(keys.authenticate(text, 'orders:read')).rejects.toMatchObject({ code: 'unauthenticated' });
    expect((await keys.revoke(key.keyId, 'you')).revokedAt).toBe(revoked.revokedAt);
    await expect(keys.revoke('0000000000000000', 'me')).rejects.toMatchObject({ code: 'api_key_not_found' });
  });

  test('open nothing on any other server either, once their revocation is done', async () => {
    const servers = [1, 2, 3].map(() => createApiKeys({ db, clock: systemClock }));
    for (let round = 0; round < 5; round++) {
      const { key, text } = await create();
      // Every server saw the key in force while it was being revoked.
      let isRevoked = false;
      const traffic = servers.map(async (server) => {
        while (!isRevoked) {
          await server.authenticate(text, 'orders:read').catch(() => {});
          await new Promise((resolve) => setImmediate(resolve));
        }
      });
      await servers[0]?.revoke(key.keyId, 'me');
      const after = await Promise.allSettled(servers.map((server) => server.authenticate(text, 'orders:read')));
      isRevoked = true;
      await Promise.all(traffic);
      for (const result of after) expect(result).toMatchObject({ reason: { code: 'unauthenticated' } });
    }
  });

  test('leave a trail of who made and revoked them', async () => {
    const { key } = await create();
    await keys.revoke(key.keyId, 'you');
    const trail = await db.query(
      dynamic(
        sql`select actor, action, facts from audit_log where subject = ${key.keyId} order by recorded_at, action`,
      ),
    );
    expect(trail).toEqual([
      { actor: 'me', action: 'api_key.create', facts: { name: 'a shop', scopes: ['orders:read'] } },
      { actor: 'you', action: 'api_key.revoke', facts: {} },
    ]);
  });
});

describe('shared look-ups', () => {
  /** A database whose reads answer late: what they saw when they ran, given out when the test says so. */
  function slowReads() {
    let reads = 0;
    const gates: (() => void)[] = [];
    const slow: Database = {
      ...db,
      async read<Row>(statement: Statement<Row>) {
        reads++;
        const rows = await db.read(statement);
        await new Promise<void>((resolve) => gates.push(resolve));
        return rows;
      },
    };
    return {
      keys: createApiKeys({ db: slow, clock: systemClock }),
      reads: () => reads,
      gates,
      until: async (count: number) => {
        while (gates.length < count) await new Promise((resolve) => setImmediate(resolve));
      },
    };
  }

  test('never give a request an answer from before a revocation that came before it', async () => {
    const { key, text } = await create();
    const slow = slowReads();
    const before = slow.keys.authenticate(text, 'orders:read');
    await slow.until(1);
    await keys.revoke(key.keyId, 'me');
    const after = [1, 2, 3].map(() => slow.keys.authenticate(text, 'orders:read'));
    slow.gates.shift()?.();
    // It asked before the key was revoked.
    await before;
    await slow.until(1);
    slow.gates.shift()?.();
    for (const result of await Promise.allSettled(after))
      expect(result).toMatchObject({ status: 'rejected', reason: { code: 'unauthenticated' } });
    expect(slow.reads()).toBe(2);
  });

  /** API keys as on a server of its own, on a database whose reads are counted and can be made to fail. */
  function countedReads() {
    let reads = 0;
    let broken = false;
    const counting: Database = {
      ...db,
      read(statement) {
        reads++;
        return broken ? Promise.reject(new Error('down')) : db.read(statement);
      },
    };
    return {
      keys: createApiKeys({ db: counting, clock: systemClock }),
      reads: () => reads,
      setBroken(isBroken: boolean) {
        broken = isBroken;
      },
    };
  }

  test('cost a thousand requests at once two reads; a failed one fails nobody who comes later', async () => {
    const { text } = await create();
    const shared = countedReads();
    await Promise.all(Array.from({ length: 1_000 }, () => shared.keys.authenticate(text, 'orders:read')));
    expect(shared.reads()).toBe(2);
    shared.setBroken(true);
    const { text: other } = await create();
    const failing = [shared.keys.authenticate(other, 'orders:read'), shared.keys.authenticate(other, 'orders:read')];
    expect((await Promise.allSettled(failing)).map(({ status }) => status)).toEqual(['rejected', 'rejected']);
    shared.setBroken(false);
    await shared.keys.authenticate(other, 'orders:read');
  });

  test('are rare for a key that was presented with the right secret a moment ago, and made for a wrong one', async () => {
    const shared = countedReads();
    const { text } = await create();
    const wrong = text.replace(/.$/, (c) => (c === 'a' ? 'b' : 'a'));
    for (let n = 0; n < 1_000; n++) await shared.keys.authenticate(text, 'orders:read');
    expect(shared.reads()).toBeLessThan(500);
    await expect(shared.keys.authenticate(wrong, 'orders:read')).rejects.toMatchObject({ code: 'unauthenticated' });
    await shared.keys.authenticate(text, 'orders:read');
  });

  test('do the same work for an unknown id as for a wrong secret: one read, one comparison', async () => {
    const shared = countedReads();
    const { text } = await create();
    for (const wrong of [
      `mk_0000000000000000_${'a'.repeat(43)}`,
      `${text.slice(0, -1)}!`.replace('!', text.endsWith('a') ? 'b' : 'a'),
    ]) {
      const before = shared.reads();
      await expect(shared.keys.authenticate(wrong, 'orders:read')).rejects.toMatchObject({ code: 'unauthenticated' });
      expect(shared.reads() - before).toBe(1);
    }
  });
});
