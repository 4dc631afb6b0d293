import { randomBytes } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { allows, formatApiKey, isSecret, newApiKey, parseApiKey, secretHash } from './api-key.ts';

describe('an API key', () => {
  test('is read back from its text', () => {
    const key = newApiKey(randomBytes);
    expect(formatApiKey(key)).toMatch(/^mk_[0-9a-f]{16}_[A-Za-z0-9]{43}$/);
    expect(parseApiKey(formatApiKey(key))).toEqual(key);
  });

  test('never comes twice and uses every character equally often', () => {
    const keys = Array.from({ length: 500 }, () => newApiKey(randomBytes));
    expect(new Set(keys.map(formatApiKey)).size).toBe(500);
    const counts = new Map<string, number>();
    for (const { secret } of keys) for (const c of secret) counts.set(c, (counts.get(c) ?? 0) + 1);
    const expected = (500 * 43) / 62;
    expect(counts.size).toBe(62);
    for (const count of counts.values()) expect(Math.abs(count - expected)).toBeLessThan(expected * 0.4);
  });

  test('asks for more bytes when too few can be used', () => {
    let calls = 0;
    const { secret } = newApiKey((count) => new Uint8Array(count).fill(calls++ === 1 ? 255 : 0));
    expect(secret).toBe('A'.repeat(43));
    expect(calls).toBe(3);
  });

  test.each([
    '',
    'mk_',
    'mk_0123456789abcdef_short',
    `mk_0123456789ABCDEF_${'a'.repeat(43)}`,
    `mk_0123456789abcdef_${'a'.repeat(44)}`,
    `Bearer mk_0123456789abcdef_${'a'.repeat(43)}`,
    `mk_0123456789abcdef_${'a'.repeat(43)}\n`,
    `mk_0123456789abcdef_${'-'.repeat(43)}`,
  ])('is not %j', (text) => {
    expect(parseApiKey(text)).toBeNull();
  });

  test('is compared by its hash', () => {
    const stored = secretHash('right');
    expect(isSecret('right', stored)).toBe(true);
    expect(isSecret('wrong', stored)).toBe(false);
    expect(isSecret('right', Buffer.alloc(0))).toBe(false);
    expect(isSecret('', Buffer.alloc(32))).toBe(false);
  });

  test('allows what its scopes say, admin everything', () => {
    expect(allows(['orders:read'], 'orders:read')).toBe(true);
    expect(allows(['orders:read'], 'orders:write')).toBe(false);
    expect(allows(['orders:write'], 'orders:import')).toBe(false);
    expect(allows(['admin'], 'orders:import')).toBe(true);
    expect(allows([], 'orders:read')).toBe(false);
  });
});
