import type { Scope } from '../domains/access/api-key.ts';

/** What a key must allow, beside jobs:write, to start a kind: what it would need to do the same by single calls. */
const scopes: Readonly<Record<string, Scope>> = {
  'orders.generate': 'orders:write',
  'orders.import': 'orders:import',
  'orders.verify': 'orders:write',
  'tickets.generate': 'tickets:write',
  'tickets.rotate': 'tickets:write',
  'tickets.purge-tokens': 'tickets:write',
};

/** A kind that is not listed may touch any table: only `admin` starts it. */
export const scopeOfKind = (kind: string): Scope => scopes[kind] ?? 'admin';
