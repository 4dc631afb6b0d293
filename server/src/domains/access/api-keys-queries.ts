import type { Instant } from '../../core/time.ts';
import { statement } from '../../storage/sql.ts';
import type { Scope } from './api-key.ts';

export interface ApiKeyRow {
  readonly keyId: string;
  readonly name: string;
  readonly secretHash: Buffer;
  readonly scopes: readonly Scope[];
  readonly createdAt: Instant;
  readonly revokedAt: Instant | null;
}

const columns = `key_id as "keyId", name, secret_hash as "secretHash", scopes, created_at as "createdAt", revoked_at as "revokedAt"`;

export const apiKeyById = statement<ApiKeyRow, [string]>(
  'api_key_by_id',
  `select ${columns} from api_keys where key_id = $1`,
  (keyId) => [keyId],
);

export const allApiKeys = statement<ApiKeyRow>(
  'all_api_keys',
  `select ${columns} from api_keys order by created_at, key_id`,
);

export const anyApiKey = statement<{ one: number }>(
  'any_api_key',
  'select 1 as one from api_keys where revoked_at is null limit 1',
);

export interface ApiKeyInsert {
  readonly keyId: string;
  readonly name: string;
  readonly secretHash: Buffer;
  readonly scopes: readonly Scope[];
}

export const insertApiKey = statement<ApiKeyRow, [ApiKeyInsert]>(
  'insert_api_key',
  `insert into api_keys (key_id, name, secret_hash, scopes) values ($1, $2, $3, $4) returning ${columns}`,
  ({ keyId, name, secretHash, scopes }) => [keyId, name, secretHash, scopes],
);

export const revokeApiKey = statement<ApiKeyRow, [string, Instant]>(
  'revoke_api_key',
  `update api_keys set revoked_at = coalesce(revoked_at, $2::timestamptz) where key_id = $1 returning ${columns}`,
  (keyId, at) => [keyId, new Date(at).toISOString()],
);

export interface AuditEntry {
  readonly actor: string;
  readonly action: string;
  readonly subject: string;
  /** What is worth keeping about it; never a secret. */
  readonly facts: object;
}

export const insertAuditEntry = statement<object, [AuditEntry]>(
  'insert_audit_entry',
  'insert into audit_log (actor, action, subject, facts) values ($1, $2, $3, $4)',
  ({ actor, action, subject, facts }) => [actor, action, subject, JSON.stringify(facts)],
);
