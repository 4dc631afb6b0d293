import { hash, timingSafeEqual } from 'node:crypto';

/**
 * What a key may do. `orders:import` and `shipments:import` write histories as they were somewhere else; `tickets:token` alone reads the secrets of
 * tickets, `tickets:verify` is what a scanner at the door needs.
 */
export const scopes = [
  'orders:read',
  'orders:write',
  'orders:import',
  'tickets:read',
  'tickets:write',
  'tickets:verify',
  'tickets:token',
  'shipments:read',
  'shipments:write',
  'shipments:import',
  'usage:read',
  'usage:write',
  'usage:import',
  'usage:correct',
  'jobs:read',
  'jobs:write',
  'admin',
] as const;
export type Scope = (typeof scopes)[number];

/** A key as it is shown once: `mk_<id>_<secret>`; the id finds the row, the secret has 256 random bits. */
export interface PresentedKey {
  readonly keyId: string;
  readonly secret: string;
}

const form = /^mk_([0-9a-f]{16})_([A-Za-z0-9]{43})$/;

export function parseApiKey(text: string): PresentedKey | null {
  const match = form.exec(text);
  return match?.[1] === undefined || match[2] === undefined ? null : { keyId: match[1], secret: match[2] };
}

const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789';

/** Makes a key out of random bytes: 8 for the id, then 43 characters of 62 for the secret (256 bits). */
export function newApiKey(randomBytes: (count: number) => Uint8Array): PresentedKey {
  const keyId = Buffer.from(randomBytes(8)).toString('hex');
  let secret = '';
  while (secret.length < 43) {
    // Bytes from 248 on are thrown away: 248 is the last multiple of 62, so every character is equally likely.
    for (const byte of randomBytes(64)) if (byte < 248 && secret.length < 43) secret += alphabet[byte % 62];
  }
  return { keyId, secret };
}

export const formatApiKey = ({ keyId, secret }: PresentedKey): string => `mk_${keyId}_${secret}`;

/** What is stored of a secret. */
export const secretHash = (secret: string): Buffer => hash('sha256', secret, 'buffer');

/** In constant time, whatever the two hold. */
export const isSecret = (presented: string, stored: Buffer): boolean => {
  const digest = secretHash(presented);
  return stored.length === digest.length && timingSafeEqual(digest, stored);
};

/** Whether scopes allow a use; `admin` allows all. */
export const allows = (granted: readonly Scope[], needed: Scope): boolean =>
  granted.includes(needed) || granted.includes('admin');
