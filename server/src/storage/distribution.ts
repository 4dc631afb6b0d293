/**
 * How a table lives on Citus. Migrations know nothing of it; one idempotent step reads this list.
 * - distributed: sharded by `bucket`, all in one colocation group
 * - reference: a copy on every node
 * - local: on the coordinator, known to all nodes
 */
export type Distribution = 'distributed' | 'reference' | 'local';

/** Every table of the schemas `public` and `milliard_jobs` stands here; a test compares the list with the catalogue. */
export const distributionOf = {
  orders: 'distributed',
  order_statuses: 'distributed',
  order_keys: 'distributed',
  tickets: 'distributed',
  ticket_keys: 'distributed',
  ticket_tokens: 'distributed',
  shipments: 'distributed',
  shipment_articles: 'distributed',
  shipment_events: 'distributed',
  subscriptions: 'distributed',
  usage_records: 'distributed',
  usage_adjustments: 'distributed',
  usage_corrections: 'distributed',
  usage_daily: 'distributed',
  usage_totals: 'distributed',
  usage_types: 'reference',
  usage_batches: 'local',
  usage_horizon: 'local',
  usage_day_drops: 'local',
  token_generations: 'reference',
  customer_salts: 'reference',
  api_keys: 'reference',
  audit_log: 'local',
  'milliard_jobs.job_runs': 'local',
  'milliard_jobs.job_ranges': 'local',
  'milliard_jobs.job_row_errors': 'local',
} as const satisfies Record<string, Distribution>;
