/**
 * How a table lives on Citus. Migrations know nothing of it; one idempotent step reads this list.
 * - distributed: sharded by `bucket`, all in one colocation group
 * - reference: a copy on every node
 * - local: on the coordinator, known to all nodes
 * - coordinator: an ordinary table of the coordinator, used over connections to it alone; Citus plans none of its statements
 */
export type Distribution = 'distributed' | 'reference' | 'local' | 'coordinator';

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
  server_leases: 'local',
  api_keys: 'reference',
  audit_log: 'local',
  'milliard_jobs.job_runs': 'coordinator',
  'milliard_jobs.job_ranges': 'coordinator',
  'milliard_jobs.job_row_errors': 'coordinator',
} as const satisfies Record<string, Distribution>;

/** Functions that statements call: on Citus every node has them. The test compares this list with the catalogue, too. */
export const distributedFunctions = ['bucket_of', 'bucket_of_id', 'new_ticket_token', 'usage_price_level'] as const;
