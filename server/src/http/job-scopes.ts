import type { Scope } from '../domains/access/api-key.ts';

/** What a key must allow, beside jobs:write, to start a kind: what it would need to do the same by single calls. */
const scopes: Readonly<Record<string, Scope>> = {
  'orders.generate': 'orders:write',
  'orders.import': 'orders:import',
  'orders.verify': 'orders:write',
  'shipments.generate': 'shipments:write',
  'shipments.import': 'shipments:import',
  'shipments.verify': 'shipments:write',
  'usage.generate': 'usage:import',
  'usage.import': 'usage:import',
  'usage.populate': 'usage:import',
  'usage.rebuild': 'usage:import',
  'usage.verify': 'usage:import',
  'tickets.generate': 'tickets:write',
  'tickets.rotate': 'tickets:write',
  'tickets.purge-tokens': 'tickets:write',
};

/** A kind that is not listed may touch any table: only `admin` starts it. */
export const scopeOfKind = (kind: string): Scope => scopes[kind] ?? 'admin';
