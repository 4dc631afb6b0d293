/** Codes of this domain. HTTP maps each to a status; none may be left out there. */
export type OrderErrorCode =
  | 'order_not_found'
  | 'order_key_reused'
  | 'placed_at_out_of_range'
  | 'occurred_at_in_future'
  | 'event_key_reused'
  | 'reason_required'
  | 'status_conflict'
  | 'version_mismatch'
  | 'row_refused'
  | 'histogram_too_large';
