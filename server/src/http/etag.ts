import { hash } from 'node:crypto';
import { DomainError, InvalidInputError } from '../core/errors.ts';
import type { OrderErrorCode } from '../domains/orders/order-errors.ts';

/** The entity tag of an order, or of its history: its version says all, for nothing else of it ever changes. */
export const etagOf = (version: number): string => `"v${version}"`;

/** The entity tag of a text that carries no version. */
export const etagOfText = (text: string): string => `"${hash('sha256', text, 'base64url').slice(0, 22)}"`;

/** Whether If-None-Match names this version: the client has it already. */
export const isKnownVersion = (ifNoneMatch: string | undefined, version: number): boolean =>
  isKnownTag(ifNoneMatch, etagOf(version));

/** Whether If-None-Match names this entity tag. Weak tags count too (RFC 9110, 13.1.2). */
export function isKnownTag(ifNoneMatch: string | undefined, tag: string): boolean {
  if (ifNoneMatch === undefined || ifNoneMatch === tag) return ifNoneMatch === tag;
  return ifNoneMatch.split(',').some((part) => {
    const candidate = part.trim();
    return candidate === '*' || candidate === tag || candidate === `W/${tag}`;
  });
}

/**
 * The version that If-Match asks for; null where any will do.
 * @throws InvalidInputError when it is not one entity tag. @throws DomainError `version_mismatch` for a tag no order ever has
 */
export function expectedVersion(ifMatch: string | undefined): number | null {
  if (ifMatch === undefined || ifMatch.trim() === '*') return null;
  const tag = /^\s*(?:W\/)?"([\x21\x23-\x7e]*)"\s*$/.exec(ifMatch)?.[1];
  if (tag === undefined) {
    throw new InvalidInputError([
      {
        pointer: '/headers/if-match',
        code: 'invalid_value',
        detail: 'must be one ETag as it came with the order, e.g. "v1"',
      },
    ]);
  }
  const version = /^v(\d{1,9})$/.exec(tag)?.[1];
  if (version !== undefined) return Number(version);
  throw new DomainError<OrderErrorCode>(
    'version_mismatch',
    'No version of an order has this ETag. Read the order again.',
  );
}
