/**
 * How a table lives on Citus. Migrations know nothing of it; one idempotent step reads this list.
 * - distributed: sharded by `bucket`, all in one colocation group
 * - reference: a copy on every node
 * - local: on the coordinator, known to all nodes
 */
export type Distribution = 'distributed' | 'reference' | 'local';

/** Every table of the schema stands here; a test compares the list with the catalogue. */
export const distributionOf = {
  orders: 'distributed',
  order_statuses: 'distributed',
  order_keys: 'distributed',
  customer_salts: 'reference',
  api_keys: 'reference',
  audit_log: 'local',
} as const satisfies Record<string, Distribution>;
