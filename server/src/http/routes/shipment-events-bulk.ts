import { z } from 'zod';
import { InvalidInputError } from '../../core/errors.ts';
import type { EventOutcome, EventToRecord } from '../../domains/shipments/shipment-events-service.ts';
import { shipmentStatuses } from '../../domains/shipments/shipment-status.ts';
import { referencedEvent } from '../../domains/shipments/shipment-submission.ts';
import { type Shipments, shipmentRefusals } from '../../domains/shipments/shipments-service.ts';
import type { Caller } from '../authenticate.ts';
import type { BulkCsv } from '../bulk-csv.ts';
import { type ReadRow, rejectedRow, rejectionOf } from '../bulk-parts.ts';
import { addBulkRoute, outcomeLine } from '../bulk-route.ts';
import type { BulkKind, BulkSummary } from '../bulk-run.ts';
import type { HttpDeps, Routes } from '../http-types.ts';

const row = referencedEvent.meta({
  id: 'BulkShipmentEvent',
  description: 'An event and its shipment.',
  'x-examples': [
    {
      carrier: 'DHL',
      tracking_number: 'TN12345678',
      code: 'delivered',
      occurred_at: '2026-11-21T09:30:00Z',
      city: 'Paris',
    },
  ],
});

const outcomes = ['recorded', 'late', 'replayed'] as const;

const answerLine = outcomeLine('BulkShipmentEventOutcome', {
  outcomes: [...outcomes, 'rejected'],
  fields: {
    seq: z.int().optional().meta({ description: 'Under which the event stands.' }),
    status: z
      .enum(shipmentStatuses)
      .optional()
      .meta({ description: 'What the shipment has after the rows that were stored together with this one.' }),
  },
  sums: { rows: z.int(), recorded: z.int(), late: z.int(), replayed: z.int(), rejected: z.int() },
});

const columns = ['carrier', 'tracking_number', 'code', 'occurred_at', 'description', 'city', 'country'] as const;
const required = ['carrier', 'tracking_number', 'code'] as const;

const csv: BulkCsv = {
  description: `The columns ${columns.join(', ')}, in any order and case; those after code may be left out. An empty cell is a value left out.`,
  documents(header) {
    const fields = header.map((cell) => cell.toLowerCase().replaceAll(/[\s-]+/g, '_'));
    const faults = [
      ...fields.filter((field) => !isColumn(field)).map((field) => `has no column "${field.slice(0, 50)}" here`),
      ...fields.filter((field, i) => fields.indexOf(field) < i).map((field) => `names ${field.slice(0, 50)} twice`),
      ...required.filter((field) => !fields.includes(field)).map((field) => `lacks the column ${field}`),
    ];
    if (faults.length > 0) {
      throw new InvalidInputError(
        faults.slice(0, 20).map((fault) => ({ pointer: '', code: 'invalid_header', detail: `the header ${fault}` })),
      );
    }
    return (cells) =>
      Object.fromEntries(
        fields.flatMap((field, i) => (cells[i] === undefined || cells[i] === '' ? [] : [[field, cells[i]]])),
      );
  },
};

const isColumn = (field: string): boolean => (columns as readonly string[]).includes(field);

/** Many events in one request. */
export async function addShipmentEventBulkRoute(routes: Routes, deps: HttpDeps): Promise<void> {
  await addBulkRoute(routes, deps, {
    url: '/shipment-events/bulk',
    tag: 'shipments',
    summary: 'Report many events',
    description:
      'NDJSON of any length, CSV with a header, or a JSON array of up to 1,000 rows; gzip as Content-Encoding. Each row is judged as by POST /shipments/{carrier}/{tracking_number}/events. Rows are stored in parts of 2,000 lines, each whole or not at all, one part after another. The answer is NDJSON: outcomes and a closing line `{"summary": …}`. **No summary line means: send it again**; rows with occurred_at are recognised, rows without one would be recorded twice.',
    scope: 'shipments:write',
    row,
    answerLine,
    name: 'shipment_events',
    csv,
    readRow: ({ caller }) => readRow(caller),
    kind: () => eventKind(deps.app.shipments),
  });
}

const readRow =
  (caller: Caller): ReadRow<EventToRecord> =>
  (document, line) => {
    const parsed = referencedEvent.safeParse(document);
    if (!parsed.success) return rejectedRow(line, rejectionOf(parsed.error));
    return { line, item: { ...parsed.data, actor: caller.actor }, rejection: null };
  };

interface EventSummary extends BulkSummary {
  recorded: number;
  late: number;
  replayed: number;
}

const eventKind = (shipments: Shipments): BulkKind<EventToRecord, EventOutcome, EventSummary> => ({
  summary: () => ({ rows: 0, recorded: 0, late: 0, replayed: 0, rejected: 0 }),
  outcomes,
  // A shipment may have rows in several parts, and which one came first breaks ties of the same instant.
  parts: 'in_order',
  write: (events) => shipments.recordEvents(events),
  tell(outcome, summary) {
    if (outcome.kind === 'not_found')
      return { code: 'shipment_not_found', detail: shipmentRefusals.shipment_not_found };
    if (outcome.kind === 'refused') return { code: outcome.code, detail: shipmentRefusals[outcome.code] };
    summary[outcome.kind]++;
    return `"outcome":"${outcome.kind}","seq":${outcome.event.seq},"status":"${outcome.shipment.status}"`;
  },
});
