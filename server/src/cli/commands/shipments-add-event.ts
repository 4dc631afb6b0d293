import type { Command } from 'commander';
import { formatInstant, type Instant } from '../../core/time.ts';
import { fieldErrorsOf } from '../../core/validation.ts';
import type { NewEvent } from '../../domains/shipments/shipment.ts';
import { attentionOf, defaultSilentMs } from '../../domains/shipments/shipment-attention.ts';
import { futureToleranceMs } from '../../domains/shipments/shipment-status.ts';
import { eventSubmission, maxCodeLength } from '../../domains/shipments/shipment-submission.ts';
import { recordedEventJson } from '../../http/shipment-representation.ts';
import { cliActor } from '../actor.ts';
import { describedCommand, does } from '../command.ts';
import { type CliContext, withApp } from '../context.ts';
import { shipmentOfArguments, withShipment } from '../shipment-options.ts';
import { UsageError } from '../stopped.ts';
import { values } from '../values.ts';
import { showShipment } from './shipments-get.ts';

interface Options {
  readonly at?: string;
  readonly description?: string;
  readonly city?: string;
  readonly country?: string;
}

/** `milliard shipments add-event` */
export const addShipmentEventCommand = (context: CliContext): Command =>
  does<Options>(
    withShipment(
      describedCommand('add-event', {
        description:
          'Report what happened to a shipment. With --at an event that is reported again is recognised and stored once.',
        examples: [
          ['milliard shipments add-event DHL TN12345678 delivered', 'just now'],
          [
            'milliard shipments add-event DHL TN12345678 inbound-scan --at 2026-01-31T12:30:00Z --city Leipzig --country DE',
            "the carrier's own word is kept; what it means follows from it",
          ],
        ],
        exitCodes: [[1, 'there is no such shipment, or the event was refused']],
      }),
    )
      .argument('<code>', "the carrier's word: in_transit, inbound-scan, delivered, …")
      .option('--at <time>', 'when it happened (now without)')
      .option('--description <text>', 'what the carrier said of it')
      .option('--city <name>', 'where')
      .option('--country <country>', 'where: two letters, or its name'),
    context,
    async (run, options, [carrier = '', trackingNumber = '', code = '']) => {
      const key = shipmentOfArguments([carrier, trackingNumber]);
      const event = readEvent(code, options);
      const { recorded, attention } = await withApp(run, 'shipments add-event', async ({ shipments, clock }) => {
        const result = await shipments.recordEvent({ key, event, actor: cliActor() });
        return {
          recorded: result,
          attention: attentionOf(result.shipment, { now: clock.now(), silentMs: defaultSilentMs }),
        };
      });
      const { outcome, shipment } = recorded;
      if (!run.output.json) {
        run.output.say(`${meanings[outcome]}\n`);
        showShipment(run.output, shipment, attention);
      }
      await run.output.record(JSON.parse(recordedEventJson(recorded, attention)));
      return undefined;
    },
  );

const meanings = {
  recorded: 'Recorded: it decides the status.',
  late: 'Recorded; another event decides the status.',
  replayed: 'This instant and code stood there already: nothing was stored.',
};

/** @throws UsageError */
function readEvent(code: string, { at, description, city, country }: Options): NewEvent {
  if (code.trim() === '' || code.trim().length > maxCodeLength) {
    throw new UsageError(
      `The code is "${code}": give the carrier's word, of 1 to ${maxCodeLength} characters, such as in_transit.`,
    );
  }
  const occurredAt = at === undefined ? undefined : formatInstant(readAt(at));
  const parsed = eventSubmission.safeParse({ code, occurred_at: occurredAt, description, city, country });
  if (parsed.success) return parsed.data;
  const faults = fieldErrorsOf(parsed.error).map(
    ({ pointer, detail }) => `${pointer === '/code' ? 'the code' : `--${pointer.slice(1)}`} ${detail}`,
  );
  throw new UsageError(`This is no event: ${faults.join('; ')}.`);
}

/** @throws UsageError */
function readAt(text: string): Instant {
  const at = values.instant('--at', text);
  if (at <= Date.now() + futureToleranceMs) return at;
  throw new UsageError(`--at is "${text}": it lies more than 5 minutes in the future.`);
}
