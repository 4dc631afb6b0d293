import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Currency, formatMajorUnits } from '../../server/src/core/money.ts';
import type { Instant } from '../../server/src/core/time.ts';
import type { Address } from '../../server/src/domains/shipments/shipment.ts';
import { createShipmentMaker } from '../../server/src/domains/shipments/shipment-generator.ts';
import { runCommand } from '../harness/command.ts';
import { against, alone, type Figures } from '../report.ts';
import { from, to } from './population.ts';
import type { ShipmentsScale } from './scale.ts';

const currency = 'EUR' as Currency;
const fileSeed = 8;
const copySeed = 9;

/** A file of new shipments, one row an article, imported by the command; against COPY of as many into the same tables. */
export async function importFigures(dataDir: string, dir: string, scale: ShipmentsScale): Promise<Figures> {
  const file = join(dir, 'shipments.csv');
  const { text, shipments } = csvOf(scale.importRows);
  await writeFile(file, text);
  const generate = ['shipments', 'generate', '--count', String(shipments), '--seed', String(copySeed)];
  const copied = await runCommand([...generate, '--from', from, '--to', to, '--json', '--data-dir', dataDir]);
  const imported = await runCommand(['shipments', 'import', file, '--json', '--data-dir', dataDir]);
  const counts = JSON.parse(imported.lines.at(-1)?.text ?? '{}') as Record<string, unknown>;
  if (counts['rows'] !== scale.importRows || counts['shipments_created'] !== shipments)
    throw new Error(`the import did not create ${shipments} shipments: ${JSON.stringify(counts)}`);
  return {
    import: against(scale.importRows / imported.seconds, scale.importRows / copied.seconds, {
      unit: `article rows/s of ${scale.importRows.toLocaleString('en')}, whole process (baseline: \`shipments generate\`, by COPY)`,
      goal: '>= 25,000',
    }),
    import_rss_mb: alone(imported.peakMb, { unit: 'MB, the process at its peak', goal: '<= 250' }),
  };
}

const header =
  'tracking_number,carrier,sender_address,receiver_address,article_name,article_quantity,article_price,SKU,status';

function csvOf(rows: number): { readonly text: string; readonly shipments: number } {
  const instants = { from: Date.parse(from) as Instant, to: Date.parse(to) as Instant };
  const make = createShipmentMaker({ count: rows, ...instants, seed: fileSeed, currency });
  const lines = [header];
  let shipments = 0;
  while (lines.length <= rows) {
    const { carrier, trackingNumber, sender, receiver, articles, events } = make(++shipments).shipment;
    const places = `${quoted(sender)},${quoted(receiver)}`;
    for (const { name, quantity, unitPrice, sku } of articles.slice(0, rows + 1 - lines.length)) {
      const price = formatMajorUnits(BigInt(unitPrice ?? 0), currency);
      lines.push(
        `${trackingNumber},${carrier},${places},"${name}",${quantity},${price},${sku ?? ''},${events[0]?.code ?? ''}`,
      );
    }
  }
  return { text: `${lines.join('\n')}\n`, shipments };
}

const quoted = (address: Address | null): string => `"${(address?.address ?? '').replaceAll('"', '""')}"`;
