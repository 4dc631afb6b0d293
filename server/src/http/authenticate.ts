import type { FastifyRequest } from 'fastify';
import { DomainError } from '../core/errors.ts';
import { allows, type Scope } from '../domains/access/api-key.ts';
import type { AccessErrorCode, ApiKeys } from '../domains/access/api-keys-service.ts';

/** Who makes a request. */
export interface Caller {
  /** Written into the history: `dev`, or `key:` and the id of the API key. */
  readonly actor: string;
  /** The actor of a history that comes from somewhere else. */
  readonly importActor: string;
  /** Whether rows may bring their history (scope orders:import). */
  readonly mayImport: boolean;
  /**
   * Asks again whether the key is in force (a key revoked during a long request ends it), and allows what else the request turns
   * out to need. @throws DomainError `unauthenticated`, `forbidden`
   */
  confirm(also?: Scope): Promise<void>;
}

export type Authenticate = (request: FastifyRequest, scope: Scope) => Promise<Caller>;

const nobodyInParticular: Caller = { actor: 'dev', importActor: 'import', mayImport: true, confirm: async () => {} };

/** Asks for no key: for servers that answer to this machine only. */
export const authenticateNobody: Authenticate = async () => nobodyInParticular;

/** Asks for `Authorization: Bearer mk_…`. @throws DomainError `unauthenticated`, `forbidden` */
export const createAuthenticate =
  (keys: ApiKeys): Authenticate =>
  async (request, scope) => {
    const text = /^Bearer +(\S+) *$/i.exec(request.headers.authorization ?? '')?.[1];
    if (text === undefined) {
      throw new DomainError<AccessErrorCode>('unauthenticated', 'Send an API key: Authorization: Bearer mk_…');
    }
    const key = await keys.authenticate(text, scope);
    return {
      actor: `key:${key.keyId}`,
      importActor: `import:${key.keyId}`,
      mayImport: allows(key.scopes, 'orders:import'),
      confirm: async (also = scope) => void (await keys.authenticate(text, also)),
    };
  };
