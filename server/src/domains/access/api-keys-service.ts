import { randomBytes } from 'node:crypto';
import { DomainError } from '../../core/errors.ts';
import type { Clock, Instant } from '../../core/time.ts';
import type { Database } from '../../storage/database.ts';
import { allows, formatApiKey, isSecret, newApiKey, parseApiKey, type Scope, secretHash } from './api-key.ts';
import {
  type ApiKeyRow,
  allApiKeys,
  anyApiKey,
  apiKeyById,
  insertApiKey,
  insertAuditEntry,
  revokeApiKey,
} from './api-keys-queries.ts';

export type AccessErrorCode = 'unauthenticated' | 'forbidden' | 'api_key_not_found';

/** A key without its secret. */
export interface ApiKey {
  readonly keyId: string;
  readonly name: string;
  readonly scopes: readonly Scope[];
  readonly createdAt: Instant;
  readonly revokedAt: Instant | null;
}

export interface ApiKeys {
  /** The only time the key's text is seen. */
  create(request: { name: string; scopes: readonly Scope[]; actor: string }): Promise<{ key: ApiKey; text: string }>;
  list(): Promise<ApiKey[]>;
  /** From the next request on the key opens nothing. @throws DomainError `api_key_not_found` */
  revoke(keyId: string, actor: string): Promise<ApiKey>;
  /** Whether any key is in force. */
  exists(): Promise<boolean>;
  /**
   * The key behind a text, if it is in force and has the scope.
   * @throws DomainError `unauthenticated`, `forbidden`
   */
  authenticate(text: string, needed: Scope): Promise<ApiKey>;
}

export function createApiKeys({ db, clock }: { db: Database; clock: Clock }): ApiKeys {
  const find = shareLookups(async (keyId) => (await db.read(apiKeyById(keyId)))[0] ?? null);

  return {
    async create({ name, scopes, actor }) {
      const presented = newApiKey(randomBytes);
      const row = await db.transaction(async (tx) => {
        const [inserted] = await tx.run(
          insertApiKey({ keyId: presented.keyId, name, secretHash: secretHash(presented.secret), scopes }),
        );
        await tx.run(
          insertAuditEntry({ actor, action: 'api_key.create', subject: presented.keyId, facts: { name, scopes } }),
        );
        return inserted as ApiKeyRow;
      });
      return { key: withoutSecret(row), text: formatApiKey(presented) };
    },
    list: async () => (await db.query(allApiKeys())).map(withoutSecret),
    async revoke(keyId, actor) {
      return db.transaction(async (tx) => {
        const [row] = await tx.run(revokeApiKey(keyId, clock.now()));
        if (row === undefined)
          throw new DomainError<AccessErrorCode>('api_key_not_found', `There is no API key ${keyId}.`);
        await tx.run(insertAuditEntry({ actor, action: 'api_key.revoke', subject: keyId, facts: {} }));
        return withoutSecret(row);
      });
    },
    exists: async () => (await db.query(anyApiKey())).length > 0,
    async authenticate(text, needed) {
      const presented = parseApiKey(text);
      const row = presented === null ? null : await find(presented.keyId);
      // An unknown id costs the same comparison as a wrong secret: the time tells nothing.
      const isRight = isSecret(presented?.secret ?? '', row?.secretHash ?? nobody);
      if (row === null || !isRight || row.revokedAt !== null) {
        throw new DomainError<AccessErrorCode>('unauthenticated', 'Send a valid API key: Authorization: Bearer mk_…');
      }
      if (!allows(row.scopes, needed)) {
        throw new DomainError<AccessErrorCode>('forbidden', `This API key lacks the scope ${needed}.`, {
          scope: needed,
        });
      }
      return withoutSecret(row);
    },
  };
}

const nobody = Buffer.alloc(32);

const withoutSecret = ({ secretHash: _, ...key }: ApiKeyRow): ApiKey => key;

/**
 * Requests with the same key share a look-up, but only one that began after they arrived: a key revoked before a request came
 * is never taken from an older answer, and a thousand requests cost a few look-ups instead of a thousand.
 */
function shareLookups<T>(lookUp: (id: string) => Promise<T>): (id: string) => Promise<T> {
  const running = new Map<string, Promise<T>>();
  const waiting = new Map<string, Promise<T>>();
  const begin = (id: string): Promise<T> => {
    const lookup = lookUp(id).finally(() => {
      if (running.get(id) === lookup) running.delete(id);
    });
    running.set(id, lookup);
    return lookup;
  };
  return (id) => {
    const current = running.get(id);
    if (current === undefined) return begin(id);
    const next =
      waiting.get(id) ??
      current
        .catch(() => {})
        .then(() => {
          waiting.delete(id);
          return begin(id);
        });
    waiting.set(id, next);
    return next;
  };
}
