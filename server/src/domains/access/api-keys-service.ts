import { randomBytes } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { DomainError } from '../../core/errors.ts';
import { shareLookUps } from '../../core/share-look-ups.ts';
import type { Clock, Instant } from '../../core/time.ts';
import { announceChanges } from '../../storage/cache/announcement.ts';
import { type Caches, noCaches } from '../../storage/cache/caches.ts';
import type { Database } from '../../storage/database.ts';
import { StorageError } from '../../storage/faults.ts';
import {
  allows,
  formatApiKey,
  isSecret,
  newApiKey,
  type PresentedKey,
  parseApiKey,
  type Scope,
  secretHash,
} from './api-key.ts';
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
  /** When it resolves, the key opens nothing on any server. @throws DomainError `api_key_not_found` */
  revoke(keyId: string, actor: string): Promise<ApiKey>;
  /** Whether any key is in force. */
  exists(): Promise<boolean>;
  /**
   * The key behind a text, if it is in force and has the scope.
   * @throws DomainError `unauthenticated`, `forbidden`
   */
  authenticate(text: string, needed: Scope): Promise<ApiKey>;
}

export interface ApiKeysDeps {
  readonly db: Database;
  readonly clock: Clock;
  /** How long after its last look-up a key opens what is cached, for reading, while the database does not answer; default 0. */
  readonly graceMs?: number;
  /** Hears of keys that other servers revoke. */
  readonly caches?: Pick<Caches, 'listen'>;
}

const announcedAs = 'api_keys';

export function createApiKeys({ db, clock, graceMs = 0, caches = noCaches }: ApiKeysDeps): ApiKeys {
  const verified = createVerifiedKeys();
  caches.listen(announcedAs, (keyIds) => {
    for (const keyId of keyIds) verified.drop(keyId);
  });
  const find = shareLookUps(async (keyId) => {
    const askedMs = performance.now();
    return { row: (await db.read(apiKeyById(keyId)))[0] ?? null, askedMs };
  });

  const lookUp = async (presented: PresentedKey): Promise<ApiKeyRow | null> => {
    const { row, askedMs } = await find(presented.keyId);
    // An unknown id costs the same comparison as a wrong secret: the time tells nothing.
    if (row === null || row.revokedAt !== null) verified.drop(presented.keyId);
    if (!isSecret(presented.secret, row?.secretHash ?? nobody) || row === null || row.revokedAt !== null) return null;
    verified.add(row, askedMs);
    return row;
  };

  /** While the database is away nobody can revoke a key: what was in force a while ago may still read what is cached. */
  const lookUpOrTrust = (presented: PresentedKey, needed: Scope): Promise<ApiKeyRow | null> =>
    lookUp(presented).catch((error: unknown) => {
      const isAway = error instanceof StorageError && error.code === 'storage_unavailable';
      const known = isAway && needed.endsWith(':read') ? verified.find(presented, graceMs) : null;
      if (known === null) throw error;
      return known;
    });

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
      const key = await db.transaction(async (tx) => {
        const [row] = await tx.run(revokeApiKey(keyId, clock.now()));
        if (row === undefined)
          throw new DomainError<AccessErrorCode>('api_key_not_found', `There is no API key ${keyId}.`);
        await tx.run(insertAuditEntry({ actor, action: 'api_key.revoke', subject: keyId, facts: {} }));
        await announceChanges(tx, { cache: announcedAs, keys: [keyId] });
        return withoutSecret(row);
      });
      verified.drop(keyId);
      // Until then some server may still trust an answer from before.
      await delay(trustedMs + timerToleranceMs);
      return key;
    },
    exists: async () => (await db.query(anyApiKey())).length > 0,
    async authenticate(text, needed) {
      const presented = parseApiKey(text);
      const row = presented === null ? null : (verified.find(presented, 0) ?? (await lookUpOrTrust(presented, needed)));
      if (row === null) {
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

/**
 * How long the answer to a look-up is trusted, counted from the question. Whoever revokes a key waits as long before it is told
 * as done: from then on no server has an answer from before (ADR 7).
 */
const trustedMs = 100;
const timerToleranceMs = 20;

/** Keys that were presented with the right secret a moment ago. As many as there are keys in use. */
function createVerifiedKeys() {
  const rows = new Map<string, { readonly row: ApiKeyRow; readonly untilMs: number }>();
  return {
    /** @param longerMs than such answers are trusted else */
    find({ keyId, secret }: PresentedKey, longerMs: number): ApiKeyRow | null {
      const known = rows.get(keyId);
      const isRight = isSecret(secret, known?.row.secretHash ?? nobody);
      return known !== undefined && isRight && performance.now() < known.untilMs + longerMs ? known.row : null;
    },
    drop(keyId: string): void {
      rows.delete(keyId);
    },
    add(row: ApiKeyRow, askedMs: number): void {
      rows.set(row.keyId, { row, untilMs: askedMs + trustedMs });
    },
  };
}

const withoutSecret = ({ secretHash: _, ...key }: ApiKeyRow): ApiKey => key;
