import { STATUS_CODES } from 'node:http';
import type { AccessErrorCode } from '../domains/access/api-keys-service.ts';
import type { OrderErrorCode } from '../domains/orders/order-errors.ts';
import type { ShipmentErrorCode } from '../domains/shipments/shipment.ts';
import type { TicketErrorCode } from '../domains/tickets/ticket.ts';
import type { UsageErrorCode } from '../domains/usage/usage.ts';
import type { JobErrorCode } from '../jobs/job-errors.ts';
import type { StorageErrorCode } from '../storage/faults.ts';
import type { ProblemType } from './problem-type.ts';
import { usageProblems } from './usage-problems.ts';

/** Codes that only HTTP knows. */
export type HttpErrorCode =
  | 'invalid_input'
  | 'malformed_json'
  | 'malformed_request'
  | 'malformed_url'
  | 'malformed_gzip'
  | 'invalid_utf8'
  | 'line_too_long'
  | 'too_many_rows'
  | 'amount_too_large'
  | 'cursor_malformed'
  | 'cursor_mismatch'
  | 'page_too_deep'
  | 'not_found'
  | 'method_not_allowed'
  | 'not_acceptable'
  | 'body_too_large'
  | 'headers_too_large'
  | 'unsupported_media_type'
  | 'request_timeout'
  | 'rate_limited'
  | 'foreign_host'
  | 'foreign_origin'
  | 'spool_full'
  | 'shutting_down'
  | 'internal_error';

export type ProblemCode =
  | HttpErrorCode
  | JobErrorCode
  | OrderErrorCode
  | ShipmentErrorCode
  | TicketErrorCode
  | UsageErrorCode
  | AccessErrorCode
  | StorageErrorCode;

const again =
  'A create or status with a key (order_number, ticket_number, Idempotency-Key, event_key) may be sent again without fear of doubling.';

/**
 * Every code with its status. 400: no valid document; 422: a valid one that a rule refuses; 503: try again. A code without a
 * problem does not compile.
 */
export const problemTypes = {
  invalid_input: {
    status: 400,
    title: 'Invalid input',
    help: 'The request is not a valid document. `errors` names each fault: where it is, a code and a sentence.',
  },
  malformed_json: {
    status: 400,
    title: 'Malformed JSON',
    help: 'The body, or a line of it, is not JSON. Send UTF-8 JSON as RFC 8259 describes it.',
  },
  malformed_request: {
    status: 400,
    title: 'Malformed request',
    help: 'The request does not follow HTTP, or its body ended early.',
  },
  malformed_url: {
    status: 400,
    title: 'Malformed URL',
    help: 'The URL holds a percent-encoding that is not UTF-8, or a part that is too long.',
  },
  malformed_gzip: {
    status: 400,
    title: 'Malformed gzip',
    help: 'The body was announced as gzip and is not, or it is cut.',
  },
  invalid_utf8: { status: 400, title: 'Invalid UTF-8', help: 'The body, or a line of it, is not UTF-8.' },
  line_too_long: { status: 400, title: 'Line too long', help: 'A line of a bulk request may have 1 MiB.' },
  too_many_rows: {
    status: 400,
    title: 'Too many rows',
    help: 'A JSON array may hold 1,000 rows. NDJSON has no limit: send application/x-ndjson, one row a line.',
  },
  amount_too_large: {
    status: 422,
    title: 'Amount too large',
    help: 'Amounts in minor units may reach 2^53 - 1, totals too.',
  },
  cursor_malformed: {
    status: 400,
    title: 'Malformed cursor',
    help: 'Cursors are opaque: send `next_cursor` or `prev_cursor` of a page as it came, or follow `next` and `prev`.',
  },
  cursor_mismatch: {
    status: 400,
    title: 'Cursor of another query',
    help: 'A cursor belongs to the filters and the direction it was made with. Begin without a cursor when they change.',
  },
  page_too_deep: {
    status: 400,
    title: 'Page too deep',
    help: 'Pages reach row 10,000. From there on follow `next`, or walk by cursor from the start.',
  },
  not_found: { status: 404, title: 'Not found', help: 'Nothing is here. /docs lists every call.' },
  method_not_allowed: {
    status: 405,
    title: 'Method not allowed',
    help: 'The path knows other methods: see the header Allow.',
  },
  not_acceptable: {
    status: 406,
    title: 'Not acceptable',
    help: 'The export comes as application/x-ndjson or text/csv.',
  },
  body_too_large: {
    status: 413,
    title: 'Body too large',
    help: 'The body passes MILLIARD_BODY_LIMIT_BYTES (1 MiB unless set). Many orders go to /api/v1/orders/bulk as NDJSON.',
  },
  headers_too_large: { status: 431, title: 'Headers too large', help: 'URL and headers together may have 16 KiB.' },
  unsupported_media_type: {
    status: 415,
    title: 'Unsupported media type',
    help: 'Send application/json (bulk also takes application/x-ndjson, and gzip as Content-Encoding).',
  },
  request_timeout: { status: 408, title: 'Request timeout', help: 'The request did not arrive in time.' },
  rate_limited: {
    status: 429,
    title: 'Too many requests',
    help: 'This address asked too often. Wait as long as Retry-After says. Who has an API key asks /api/v1/shipments, which knows no such limit.',
    retryAfterSeconds: 60,
  },
  foreign_host: {
    status: 403,
    title: 'Foreign host',
    help: 'Without API keys the server answers to 127.0.0.1, localhost and [::1] with its own port only, so that no web page can reach it under another name.',
  },
  foreign_origin: {
    status: 403,
    title: 'Foreign origin',
    help: 'Without API keys the server answers no request that another web page makes.',
  },
  spool_full: {
    status: 507,
    title: 'Spool full',
    help: 'The client left more outcomes unread than MILLIARD_SPOOL_LIMIT_BYTES allows. Read while sending, or ask for ?report=rejected.',
  },
  shutting_down: {
    status: 503,
    title: 'Shutting down',
    help: `The server is being stopped. Send the request again. ${again}`,
    retryAfterSeconds: 1,
  },
  internal_error: {
    status: 500,
    title: 'Internal error',
    help: 'Something failed that should not. The log of the server tells more under the request_id.',
    secret: true,
  },

  order_not_found: { status: 404, title: 'Order not found', help: 'There is no order with this id.' },
  order_key_reused: {
    status: 422,
    title: 'Order key reused',
    help: 'The order_number or Idempotency-Key belongs to an order of this customer with another content.',
  },
  placed_at_out_of_range: {
    status: 422,
    title: 'placed_at out of range',
    help: 'placed_at lies within the past 24 months and at most 5 minutes ahead. Older orders are loaded by `milliard orders import`.',
  },
  occurred_at_in_future: {
    status: 422,
    title: 'occurred_at in the future',
    help: 'A status or an event may be at most 5 minutes ahead of the server.',
  },
  event_key_reused: {
    status: 422,
    title: 'Event key reused',
    help: 'This event_key was recorded for the order with another content.',
  },
  reason_required: {
    status: 422,
    title: 'Reason required',
    help: 'A complete order is cancelled by a refund: say why in `reason`.',
  },
  status_conflict: {
    status: 409,
    title: 'Status conflict',
    help: 'The order cannot move from `current` to this status; `allowed` lists where it can go.',
  },
  version_mismatch: {
    status: 412,
    title: 'Version mismatch',
    help: 'The order changed since the ETag in If-Match. Read it again and decide anew.',
  },
  row_refused: { status: 422, title: 'Row refused', help: 'The database refused this order.' },
  histogram_too_large: {
    status: 422,
    title: 'Histogram too large',
    help: 'A histogram may have 50,000 rows (interval, status and currency). Ask for days, for a shorter range, or for fewer statuses.',
  },

  shipment_not_found: {
    status: 404,
    title: 'Shipment not found',
    help: 'There is no shipment of this carrier with this tracking number. Case, spaces and hyphens do not count, leading zeros do.',
  },
  shipment_key_reused: {
    status: 422,
    title: 'Shipment key reused',
    help: 'The carrier and the tracking number belong to a shipment that was sent with another content, or that came with an import.',
  },
  shipment_refused: { status: 422, title: 'Shipment refused', help: 'The database refused this shipment.' },
  event_refused: { status: 422, title: 'Event refused', help: 'The database refused this event.' },

  ticket_not_found: { status: 404, title: 'Ticket not found', help: 'There is no ticket with this id.' },
  ticket_key_reused: {
    status: 422,
    title: 'Ticket key reused',
    help: 'The ticket_number or Idempotency-Key belongs to a ticket of this holder with another content.',
  },
  ticket_refused: { status: 422, title: 'Ticket refused', help: 'The database refused this ticket.' },
  ticket_void: {
    status: 409,
    title: 'Ticket void',
    help: 'The ticket was made void: no token opens it any more, so none is given out.',
  },
  token_not_issued: {
    status: 409,
    title: 'Token not issued yet',
    help: 'The token of this ticket was revoked and its new one is on the way: a rotation is running. Ask again shortly.',
    retryAfterSeconds: 5,
  },

  ...usageProblems,

  job_kind_unknown: {
    status: 404,
    title: 'Unknown kind of job',
    help: 'This server knows no such kind: GET /api/v1/job-kinds lists those it knows.',
  },
  job_not_found: { status: 404, title: 'Job not found', help: 'There is no run with this id.' },
  job_state_conflict: {
    status: 409,
    title: 'Job state conflict',
    help: 'This cannot be asked of a run in its present `state`; `allowed` lists what can.',
  },
  job_held_elsewhere: {
    status: 409,
    title: 'Job held elsewhere',
    help: 'A living process, `host` and `pid`, works at the run. Pause it, or wait until it has ended.',
  },
  job_key_reused: {
    status: 422,
    title: 'Idempotency-Key reused',
    help: 'The key was sent before, with another kind or other parameters; `run_id` is the run it started. Use a new key.',
  },
  job_refused: {
    status: 422,
    title: 'Job refused',
    help: 'The kind does not take these parameters as things stand; `detail` says why. Nothing was done.',
  },
  job_not_startable_here: {
    status: 422,
    title: 'Job not startable here',
    help: 'Runs of this kind need a file of the machine they are started on: start one there, at the command line.',
  },

  unauthenticated: {
    status: 401,
    title: 'Unauthenticated',
    help: 'Send an API key that is in force: Authorization: Bearer mk_… (made by `milliard keys create`).',
  },
  forbidden: { status: 403, title: 'Forbidden', help: 'The API key lacks the scope that this call needs.' },
  api_key_not_found: { status: 404, title: 'API key not found', help: 'There is no such API key.' },

  storage_unavailable: {
    status: 503,
    title: 'Database unavailable',
    help: `The database cannot be reached. ${again}`,
    retryAfterSeconds: 1,
  },
  storage_overloaded: {
    status: 503,
    title: 'Overloaded',
    help: `More writes wait than the server takes, or the rows are locked. ${again}`,
    retryAfterSeconds: 1,
  },
  storage_timeout: {
    status: 503,
    title: 'Database timeout',
    help: 'The database did not answer in time. Ask for less, or try again.',
    retryAfterSeconds: 2,
  },
  commit_unknown: {
    status: 503,
    title: 'Commit unknown',
    help: `The connection was lost during COMMIT: the write may be stored or not. ${again}`,
    retryAfterSeconds: 1,
  },
  storage_full: {
    status: 503,
    title: 'Disk full',
    help: 'The disk of the database is full. Nothing was written.',
    retryAfterSeconds: 30,
  },
  storage_read_only: {
    status: 503,
    title: 'Database read-only',
    help: 'The database accepts no writes now (a standby?).',
    retryAfterSeconds: 5,
  },
  schema_mismatch: {
    status: 500,
    title: 'Schema mismatch',
    help: 'The schema of the database does not fit this version. Run `milliard migrate`.',
    secret: true,
  },
  storage_fault: {
    status: 500,
    title: 'Database fault',
    help: 'The database reported an unexpected fault. The log of the server tells more under the request_id.',
    secret: true,
  },
} as const satisfies Record<ProblemCode, ProblemType>;

export const problemTypeOf = (code: ProblemCode): ProblemType => problemTypes[code];

export const isProblemCode = (text: unknown): text is ProblemCode =>
  typeof text === 'string' && Object.hasOwn(problemTypes, text);

/** An RFC 9457 document. Facts such as `current` and `allowed` stand beside the standard members. */
export interface Problem {
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly code: ProblemCode;
  readonly detail: string;
  readonly request_id: string;
  readonly instance: string;
  readonly [fact: string]: unknown;
}

export const problemMediaType = 'application/problem+json; charset=utf-8';

/** `503 Service Unavailable`: how a status is named in documents. */
export const statusName = (status: number): string => `${status} ${STATUS_CODES[status] ?? ''}`.trim();
