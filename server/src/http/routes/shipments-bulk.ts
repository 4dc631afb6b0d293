import { z } from 'zod';
import { ImportFileError } from '../../core/csv-columns.ts';
import { InvalidInputError } from '../../core/errors.ts';
import { type Currency, parseCurrency } from '../../core/money.ts';
import type { Clock } from '../../core/time.ts';
import type { RowOutcome } from '../../domains/shipments/shipment-import-bulk-service.ts';
import { readRowDocument } from '../../domains/shipments/shipment-import-document.ts';
import { unknownWords } from '../../domains/shipments/shipment-import-merge.ts';
import {
  bindShipmentColumns,
  readShipmentRow,
  type ShipmentRow,
  shipmentFields,
} from '../../domains/shipments/shipment-import-row.ts';
import type { BulkCsv } from '../bulk-csv.ts';
import { type ReadRow, rejectedRow } from '../bulk-parts.ts';
import { addBulkRoute, outcomeLine } from '../bulk-route.ts';
import type { BulkKind, BulkSummary } from '../bulk-run.ts';
import type { HttpDeps, Routes } from '../http-types.ts';

const cell = z.union([z.string(), z.number(), z.null()]).optional();

const row = z.object(Object.fromEntries(shipmentFields.map((field) => [field, cell]))).meta({
  id: 'BulkShipmentRow',
  description:
    'An article of a shipment, as a row of an import file: tracking_number and carrier are required, an empty or missing field says nothing. article_price is in major units: "800" is 800.00. Fields without a use are passed over and told in the summary.',
  'x-examples': [
    {
      tracking_number: 'TN12345678',
      carrier: 'DHL',
      sender_address: 'Street 1, 10115 Berlin, Germany',
      receiver_address: 'Street 10, 75001 Paris, France',
      article_name: 'Laptop',
      article_quantity: 1,
      article_price: '800',
      sku: 'LP123',
      status: 'in-transit',
    },
  ],
});

const outcomes = ['created', 'updated', 'unchanged'] as const;

const answerLine = outcomeLine('BulkShipmentOutcome', {
  outcomes: [...outcomes, 'rejected'],
  fields: {
    unknown_status: z.string().optional().meta({ description: 'A status that nobody understands: kept as it is.' }),
  },
  sums: {
    rows: z.int(),
    created: z.int(),
    updated: z.int(),
    unchanged: z.int(),
    rejected: z.int(),
    unknown_statuses: z.int().meta({ description: 'Rows with a status that nobody understands.' }),
    unused_columns: z.array(z.string()).meta({ description: 'Columns and fields without a use, at most 20.' }),
  },
});

const csv: BulkCsv = {
  description: `The columns ${shipmentFields.join(', ')}, in any order and case; all but the first two may be missing. Others are passed over and told in the summary.`,
  documents(header) {
    const bound = boundColumns(header);
    const unused = bound.unused.map((name) => [name, ''] as const);
    return (cells) =>
      Object.fromEntries([...unused, ...shipmentFields.map((field) => [field, bound.cell(cells, field)] as const)]);
  },
};

function boundColumns(header: readonly string[]) {
  try {
    return bindShipmentColumns(header, new Map());
  } catch (error) {
    if (!(error instanceof ImportFileError)) throw error;
    throw new InvalidInputError([{ pointer: '', code: 'invalid_header', detail: error.message }]);
  }
}

/** Many shipments in one request, as rows of articles. */
export async function addShipmentBulkRoute(routes: Routes, deps: HttpDeps): Promise<void> {
  await addBulkRoute(routes, deps, {
    url: '/shipments/bulk',
    tag: 'shipments',
    summary: 'Import shipments',
    description:
      'One row an article: NDJSON or CSV with a header, of any length, or a JSON array of up to 1,000 rows; gzip as Content-Encoding. Rows with the same carrier and tracking number are one shipment, wherever they stand; each row is told what its shipment did. Sending rows again changes nothing; a changed status becomes an event, a changed article is found by its SKU (by its name where it has none). Rows are stored in parts of 2,000 lines, each whole or not at all, one part after another. The answer is NDJSON: outcomes and a closing line `{"summary": …}`. **No summary line means: send it again**.',
    scope: 'shipments:write',
    row,
    answerLine,
    name: 'shipments',
    query: {
      currency: z
        .string()
        .refine((code) => parseCurrency(code) !== null, { error: 'must be an ISO 4217 currency code, e.g. EUR' })
        .optional()
        .meta({ description: 'Of rows that name no currency; MILLIARD_CURRENCY where it is left out.' }),
    },
    csv,
    readRow: () => readRow(deps.app.clock),
    kind: ({ caller, query }) =>
      shipmentKind(deps, {
        actor: caller.importActor,
        defaultCurrency: (query.currency as Currency | undefined) ?? deps.app.config.currency,
      }),
  });
}

interface BulkShipmentRow extends ShipmentRow {
  readonly unused: readonly string[];
}

const readRow =
  (clock: Clock): ReadRow<BulkShipmentRow> =>
  (value, line) => {
    if (typeof value !== 'object' || value === null || Array.isArray(value))
      return rejectedRow(line, { code: 'malformed_row', detail: 'The row is not a JSON object.' });
    const document = readRowDocument(value);
    const read = 'code' in document ? document : readShipmentRow(document.cell, clock.now());
    if ('code' in read) return rejectedRow(line, { ...read });
    return { line, item: { ...read, unused: 'unused' in document ? document.unused : [] }, rejection: null };
  };

interface ShipmentSummary extends BulkSummary {
  created: number;
  updated: number;
  unchanged: number;
  unknown_statuses: number;
  unused_columns: string[];
}

/** An outcome with what else is told of its row. */
interface ToldOutcome {
  readonly outcome: RowOutcome;
  readonly row: BulkShipmentRow;
}

const keptNames = 20;

const shipmentKind = (
  { app }: HttpDeps,
  options: { readonly actor: string; readonly defaultCurrency: Currency },
): BulkKind<BulkShipmentRow, ToldOutcome, ShipmentSummary> => ({
  summary: () => ({
    ...{ rows: 0, created: 0, updated: 0, unchanged: 0, rejected: 0 },
    ...{ unknown_statuses: 0, unused_columns: [] },
  }),
  outcomes,
  // A shipment may have rows in several parts, and the later ones count.
  parts: 'in_order',
  async write(rows) {
    const written = await app.shipments.imports.writeRows(rows, options);
    return rows.map((own, i) => ({ outcome: written[i] as RowOutcome, row: own }));
  },
  tell({ outcome, row: own }, summary) {
    for (const name of own.unused)
      if (summary.unused_columns.length < keptNames && !summary.unused_columns.includes(name))
        summary.unused_columns.push(name);
    if (outcome.kind === 'rejected') return { ...outcome.fault };
    summary[outcome.kind]++;
    const [word] = own.status === null ? [] : unknownWords([own.status]);
    if (word === undefined) return `"outcome":"${outcome.kind}"`;
    summary.unknown_statuses++;
    return `"outcome":"${outcome.kind}","unknown_status":${JSON.stringify(word)}`;
  },
});
