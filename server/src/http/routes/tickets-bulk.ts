import { z } from 'zod';
import type { TicketOutcome } from '../../domains/tickets/ticket-batch-service.ts';
import { ticketSubmission } from '../../domains/tickets/ticket-submission.ts';
import type { TicketToWrite, TicketWriter } from '../../domains/tickets/ticket-write-service.ts';
import { ticketRefusals } from '../../domains/tickets/tickets-service.ts';
import { type ReadRow, rejectedRow, rejectionOf } from '../bulk-parts.ts';
import { addBulkRoute, outcomeLine } from '../bulk-route.ts';
import type { BulkKind, BulkSummary } from '../bulk-run.ts';
import type { HttpDeps, Routes } from '../http-types.ts';

const row = ticketSubmission.meta({ id: 'BulkTicket', description: 'A ticket, as POST /api/v1/tickets takes it.' });

const answerLine = outcomeLine('BulkTicketOutcome', {
  outcomes: ['created', 'replayed', 'rejected'],
  fields: { ticket_id: z.string().optional() },
  sums: { rows: z.int(), created: z.int(), replayed: z.int(), rejected: z.int() },
});

/** Many tickets in one request. */
export async function addTicketBulkRoute(routes: Routes, deps: HttpDeps): Promise<void> {
  await addBulkRoute(routes, deps, {
    url: '/tickets/bulk',
    tag: 'tickets',
    summary: 'Create many tickets',
    description:
      'NDJSON of any length, or a JSON array of up to 1,000 tickets; gzip as Content-Encoding. Rows are stored in parts of 2,000 lines, each whole or not at all. The answer is NDJSON: outcomes and a closing line `{"summary": …}`; tokens are read one by one from /api/v1/tickets/{id}/token. **No summary line means: send it again**; rows with a ticket_number are recognised, and with the header Idempotency-Key the others too (their key is `<Idempotency-Key>/<line>`).',
    scope: 'tickets:write',
    row,
    answerLine,
    name: 'tickets',
    readRow: ({ requestKey }) => readRow(requestKey),
    kind: () => ticketKind(deps.app.tickets.writer),
  });
}

/** @param requestKey the Idempotency-Key of the request: rows without a number get `<key>/<line>` */
const readRow =
  (requestKey: string | null): ReadRow<TicketToWrite> =>
  (document, line) => {
    const parsed = ticketSubmission.safeParse(document);
    if (!parsed.success) return rejectedRow(line, rejectionOf(parsed.error));
    const item = { ticket: parsed.data, requestKey: requestKey === null ? null : `${requestKey}/${line}` };
    return { line, item, rejection: null };
  };

interface TicketSummary extends BulkSummary {
  created: number;
  replayed: number;
}

const ticketKind = (writer: TicketWriter): BulkKind<TicketToWrite, TicketOutcome, TicketSummary> => ({
  summary: () => ({ rows: 0, created: 0, replayed: 0, rejected: 0 }),
  outcomes: ['created', 'replayed'],
  parts: 'overlapping',
  write: (tickets) => writer.write(tickets, { by: 'copy' }),
  tell(outcome, summary) {
    if (outcome.kind === 'refused') {
      // The ticket that has this row's key already.
      const stored = outcome.ticketId === null ? {} : { ticket_id: outcome.ticketId };
      return { ...stored, code: outcome.code, detail: ticketRefusals[outcome.code] };
    }
    summary[outcome.kind]++;
    const ticketId = outcome.kind === 'created' ? outcome.ticket.ticketId : outcome.ticketId;
    return `"outcome":"${outcome.kind}","ticket_id":"${ticketId}"`;
  },
});
