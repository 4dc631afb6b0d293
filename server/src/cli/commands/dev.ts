import type { Command } from 'commander';
import type { App } from '../../app.ts';
import type { Config } from '../../config.ts';
import { type Day, dayOf, formatDay } from '../../core/days.ts';
import type { Shipment } from '../../domains/shipments/shipment.ts';
import { loadSampleData } from '../../flows/load-sample-data.ts';
import { findSomeShipment, loadSampleShipments } from '../../flows/load-sample-shipments.ts';
import { loadSampleTickets } from '../../flows/load-sample-tickets.ts';
import { findUsedSubscription, loadSampleUsage } from '../../flows/load-sample-usage.ts';
import { acquireEmbedded, type EmbeddedServer } from '../../storage/embedded/embedded-postgres.ts';
import { migrate } from '../../storage/migrator.ts';
import { describedCommand } from '../command.ts';
import { type CliContext, type Run, runOf } from '../context.ts';
import { requireFreePort, serveUntilStopped } from '../serving.ts';

interface DevOptions {
  readonly sampleData: boolean;
}

const superviseMs = 1_000;

/** `milliard dev`: everything on this machine, for a first look and for development. */
export function devCommand(context: CliContext): Command {
  return describedCommand('dev', {
    description:
      'Start PostgreSQL and the server on this machine; no keys are asked, only this machine is answered. Ctrl-C stops the server, then the database unless another command uses it.',
    examples: [
      ['milliard dev', 'http://127.0.0.1:8000, the database in .milliard'],
      ['milliard dev --port 9000 --data-dir /srv/milliard', 'elsewhere'],
    ],
    exitCodes: [[0, 'it served and was asked to stop (Ctrl-C, SIGTERM): what was under way is finished']],
    endedBySignal: 'ended by Ctrl-C or SIGTERM before it served',
  })
    .option('--port <port>', 'port to listen on (MILLIARD_PORT, 8000)')
    .option('--no-sample-data', 'do not load sample orders, tickets, shipments and usage into an empty database')
    .action(async (options: DevOptions, command: Command) => {
      const run = runOf(context, command);
      const parsed = run.config();
      // Loopback only, whatever MILLIARD_HOST says: nobody is asked for a key here.
      const config: Config = { ...parsed, http: { ...parsed.http, host: '127.0.0.1' } };
      await requireFreePort(config.http);
      await (config.database.url === null ? onEmbedded(run, config, options) : onGiven(run, config, options));
    });
}

async function onEmbedded(run: Run, config: Config, options: DevOptions): Promise<void> {
  const step = (text: string): void => run.output.note(text);
  const embedded = await acquireEmbedded({ dataDir: config.database.dataDir, log: step, purpose: 'dev' });
  const stopSupervising = supervise(run, embedded);
  try {
    run.signal.throwIfAborted();
    await migrate({ url: embedded.url, log: step });
    await serve(run, { config, options, databaseUrl: embedded.url });
  } finally {
    await stopSupervising();
    await embedded.release();
  }
}

async function onGiven(run: Run, config: Config, options: DevOptions): Promise<void> {
  const databaseUrl = config.database.url ?? '';
  await migrate({ url: databaseUrl, log: (text) => run.output.note(text) });
  await serve(run, { config, options, databaseUrl });
}

/** A PostgreSQL that crashed or was stopped by somebody is started again; requests answer 503 until then. */
function supervise(run: Run, embedded: EmbeddedServer): () => Promise<void> {
  let looking: Promise<void> = Promise.resolve();
  let busy = false;
  const timer = setInterval(() => {
    if (busy) return;
    busy = true;
    looking = embedded
      .ensureRunning()
      .catch((error: unknown) =>
        run.output.warn(`PostgreSQL does not start again: ${error instanceof Error ? error.message : error}`),
      )
      .finally(() => {
        busy = false;
      });
  }, superviseMs);
  return () => {
    clearInterval(timer);
    return looking;
  };
}

interface Serving {
  readonly config: Config;
  readonly options: DevOptions;
  readonly databaseUrl: string;
}

async function serve(run: Run, { config, options, databaseUrl }: Serving): Promise<void> {
  await serveUntilStopped({
    run,
    config,
    databaseUrl,
    mode: 'dev',
    prepare: async (app) => {
      const { signal } = run;
      if (!options.sampleData) return;
      const report = (text: string): void => run.output.note(text);
      await loadSampleData(app, { report, signal });
      await loadSampleTickets(app, { report });
      await loadSampleShipments(app, { report, signal });
      await loadSampleUsage(app, { report });
    },
    onListening: async (url, app) => run.output.say(await welcome(url, app)),
  });
}

/** What a newcomer does next; every line works when it is pasted. */
async function welcome(url: string, { orders, tickets, shipments, usage, clock }: App): Promise<string> {
  const all = { statuses: [], customerId: null, orderNumber: null, placedFrom: null, placedTo: null };
  const { items } = await orders.listOrders({ filter: all, direction: 'newest', limit: 1, after: null });
  const total = await orders.countOrders(all);
  const cancelled = await orders.countOrders({ ...all, statuses: ['cancelled'] });
  const count = ({ count: n, precision }: typeof total): string =>
    `${n.toLocaleString('en')}${precision === 'exact' ? '' : '+'}`;
  const example = items[0];
  const ticket = await tickets.findSomeTicket();
  const shipment = await findSomeShipment(shipments);
  const subscription = await findUsedSubscription(usage);
  return [
    '',
    `Milliard serves ${url}   (the API: ${url}/docs)`,
    `${count(total)} orders, ${count(cancelled)} of them cancelled. Try:`,
    '',
    `  curl '${url}/api/v1/orders?status=cancelled&limit=5'`,
    ...(example === undefined ? [] : [`  curl ${url}/api/v1/orders/${example.orderId}/history`]),
    `  curl -X POST ${url}/api/v1/orders -H 'content-type: application/json' -d '{"customer_id": "CUST789", "order_number": "ORD123456", "items": [{"sku": "SHOE001", "quantity": 1, "unit_price": 2999}]}'`,
    // The token goes from one call to the other and is seen by nobody.
    ...(ticket === null
      ? []
      : [
          `  curl -s ${url}/api/v1/tickets/${ticket}/token | curl -X POST ${url}/api/v1/tickets/verify -H 'content-type: application/json' -d @-`,
        ]),
    ...(shipment === null ? [] : shipmentLines(url, shipment)),
    ...(subscription === null ? [] : usageLines(url, subscription, dayOf(clock.now()))),
    '',
    'Ctrl-C stops it.',
  ].join('\n');
}

/** What a subscription used in the past week, and who used the most. */
function usageLines(url: string, subscription: string, today: Day): string[] {
  const period = `from=${formatDay((today - 7) as Day)}&to=${formatDay(today)}`;
  return [
    `  curl '${url}/api/v1/usage/metrics?subscription_id=${encodeURIComponent(subscription)}&${period}&group_by=day'`,
    `  curl '${url}/api/v1/usage/over-limit?price_limit=100&limit=5'`,
  ];
}

/** What whoever waits for the parcel sees, and what the merchant sees. */
function shipmentLines(url: string, { carrier, trackingNumber }: Shipment): string[] {
  const path = [carrier, trackingNumber].map(encodeURIComponent).join('/');
  return [
    `  curl '${url}/api/v1/track/${path}'`,
    `  curl '${url}/api/v1/shipments/${path}'`,
    `  curl '${url}/api/v1/shipments?needs_attention=true&limit=5'`,
  ];
}
