import type { Command } from 'commander';
import { createShipmentVerifyKind, type ShipmentVerifyResult } from '../../domains/shipments/shipment-verify-jobs.ts';
import type { ShipmentDifference } from '../../domains/shipments/shipment-verify-service.ts';
import { describedCommand, does } from '../command.ts';
import type { CliContext } from '../context.ts';
import { withJobOptions } from '../job-options.ts';
import { runVerify, type ToldDifference, type Verification, type VerifyOptions, verifyExits } from '../verify-run.ts';

/** `milliard verify shipments` */
export const verifyShipmentsCommand = (context: CliContext): Command =>
  does<VerifyOptions>(
    withJobOptions(
      describedCommand('shipments', {
        description:
          'Derive the status of every shipment from its events anew and compare it with the copy the shipment carries; look for events and articles without shipment. May run while a server writes. A job: the same command goes on with one that was stopped or killed.',
        examples: [
          ['milliard verify shipments', 'look only'],
          ['milliard verify shipments --repair', 'make differing copies anew from the events'],
        ],
        exitCodes: verifyExits,
      }).option('--repair', 'make differing copies anew from the events'),
    ),
    context,
    (run, options) => runVerify(run, shipments, options),
  );

const told = ({ kind, carrierKey, trackingKey, mended }: ShipmentDifference): ToldDifference => ({
  document: { kind, carrier_key: carrierKey, tracking_key: trackingKey, mended },
  line: `${kind} ${carrierKey} ${trackingKey}${mended ? ' (mended)' : ''}`,
});

const shipments: Verification = {
  name: 'verify shipments',
  kindOf: (tell) => createShipmentVerifyKind({ onDifference: (difference) => tell(told(difference)) }),
  countsOf({ counts }) {
    const { shipments = 0, events = 0, articles = 0, differences = 0, mended = 0 } = counts;
    return { shipments, events, articles, differences, mended };
  },
  lookedAt: ({ shipments = 0, events = 0, articles = 0 }) =>
    `${shipments.toLocaleString('en')} shipments, ${events.toLocaleString('en')} events, ${articles.toLocaleString('en')} articles`,
  keptIn: (result) =>
    (result as unknown as ShipmentVerifyResult).first_differences.map(({ kind, carrier_key, tracking_key, mended }) =>
      told({ kind, carrierKey: carrier_key, trackingKey: tracking_key, mended }),
    ),
};
