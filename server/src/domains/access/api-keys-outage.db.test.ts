import { expect, test } from 'vitest';
import { systemClock } from '../../core/time.ts';
import type { Database } from '../../storage/database.ts';
import { StorageError } from '../../storage/faults.ts';
import { openTestDatabase } from '../../testing/open-database.ts';
import { createApiKeys } from './api-keys-service.ts';

const { db } = await openTestDatabase();
const keys = createApiKeys({ db, clock: systemClock });
const longMs = 600_000;

/** The keys of another server, whose database can be away. */
function openServer(graceMs: number) {
  let fault: Error | null = null;
  let hear: (keyIds: readonly string[]) => void = () => {};
  const cut: Database = { ...db, read: (statement) => (fault === null ? db.read(statement) : Promise.reject(fault)) };
  const listen = (_: string, heard: typeof hear): void => {
    hear = heard;
  };
  return {
    keys: createApiKeys({ db: cut, clock: systemClock, graceMs, caches: { listen } }),
    fail(error: Error | null) {
      fault = error;
    },
    hear: (keyIds: readonly string[]) => hear(keyIds),
  };
}

const away = new StorageError('storage_unavailable', 'away');
/** Longer than an answer is trusted anyway. */
const untilUntrusted = () => new Promise((resolve) => setTimeout(resolve, 130));
const create = () => keys.create({ name: 'a shop', scopes: ['orders:read', 'orders:write'], actor: 'me' });

test('while the database is away a key that was in force goes on reading, and writes no more', async () => {
  const { key, text } = await create();
  const server = openServer(longMs);
  await server.keys.authenticate(text, 'orders:read');
  server.fail(away);
  await untilUntrusted();
  expect(await server.keys.authenticate(text, 'orders:read')).toEqual(key);
  await expect(server.keys.authenticate(text, 'orders:write')).rejects.toBe(away);
  const { text: unseen } = await create();
  await expect(server.keys.authenticate(unseen, 'orders:read')).rejects.toBe(away);
  await expect(server.keys.authenticate(`${text.slice(0, -2)}xx`, 'orders:read')).rejects.toBeTruthy();
});

test('not behind the grace, not for another fault, and not once its revocation was heard', async () => {
  const { key, text } = await create();
  const [short, long] = [openServer(0), openServer(longMs)];
  for (const server of [short, long]) await server.keys.authenticate(text, 'orders:read');
  await untilUntrusted();
  short.fail(away);
  await expect(short.keys.authenticate(text, 'orders:read')).rejects.toBe(away);
  const fault = new StorageError('storage_fault', 'no such user');
  long.fail(fault);
  await expect(long.keys.authenticate(text, 'orders:read')).rejects.toBe(fault);
  long.fail(away);
  await long.keys.authenticate(text, 'orders:read');
  long.hear([key.keyId]);
  await expect(long.keys.authenticate(text, 'orders:read')).rejects.toBe(away);
});
