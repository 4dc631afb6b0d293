import type { TicketId } from '../../core/ids.ts';
import { statement, statementByBucket, transpose } from '../../storage/sql.ts';
import type { PlacedTicketKey, TicketKeyKind } from './ticket.ts';

export interface TicketKeyInsert extends PlacedTicketKey {
  readonly ticketId: TicketId;
  /** Hexadecimal. */
  readonly contentHash: string;
}

/** Values of one row in the order of `copyTicketKeys`; a bytea is `\x…` in text. */
export const keyValues = (row: TicketKeyInsert): (string | number)[] => [
  row.bucket,
  row.holder,
  row.kind,
  row.key,
  row.ticketId,
  `\\x${row.contentHash}`,
];

export const copyTicketKeys = 'copy ticket_keys (bucket, holder, kind, key, ticket_id, content_hash) from stdin';

/** Claims keys; returns the ids of the tickets whose keys were free. Never trust the row count (Citus). */
export const insertTicketKeys = statement<{ ticketId: TicketId }, [readonly TicketKeyInsert[]]>(
  'insert_ticket_keys',
  `insert into ticket_keys (bucket, holder, kind, key, ticket_id, content_hash)
   select * from unnest($1::smallint[], $2::text[], $3::text[], $4::text[], $5::uuid[], $6::bytea[])
   on conflict do nothing returning ticket_id as "ticketId"`,
  (rows) => transpose(rows.map(keyValues), 6),
);

export interface TicketKeyRow {
  readonly holder: string;
  readonly kind: TicketKeyKind;
  readonly key: string;
  readonly ticketId: TicketId;
  /** Hexadecimal. */
  readonly contentHash: string;
}

export const selectTicketKeys = statementByBucket<TicketKeyRow, [readonly PlacedTicketKey[]]>(
  'select_ticket_keys',
  (only) => `select k.holder, k.kind, k.key, k.ticket_id as "ticketId", encode(k.content_hash, 'hex') as "contentHash"
     from unnest($1::smallint[], $2::text[], $3::text[], $4::text[]) as u (bucket, holder, kind, key)
     join ticket_keys k on k.bucket = u.bucket and k.holder = u.holder and k.kind = u.kind and k.key = u.key${only}`,
  {
    ...{ column: 'k.bucket', at: 0 },
    values: (keys) =>
      transpose(
        keys.map((k) => [k.bucket, k.holder, k.kind, k.key]),
        4,
      ),
  },
);
