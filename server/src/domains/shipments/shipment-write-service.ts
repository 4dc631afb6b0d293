import type { Currency } from '../../core/money.ts';
import type { Clock } from '../../core/time.ts';
import type { Database } from '../../storage/database.ts';
import { writeHalving } from '../../storage/halving.ts';
import type { TransactionOptions } from '../../storage/transaction.ts';
import type { NewShipment } from './shipment.ts';
import { type Candidate, type ShipmentOutcome, type WriteMethod, writeBatchIn } from './shipment-batch-service.ts';
import { type ShipmentsChanged, tellChange } from './shipment-change.ts';
import { placeShipment } from './shipment-placement.ts';
import type { ShipmentKey } from './tracking-key.ts';

/** One shipment to be written, with what the request says beside the document. */
export interface ShipmentToWrite {
  readonly shipment: NewShipment;
  readonly actor: string;
}

export interface ShipmentWriteOptions extends Pick<TransactionOptions, 'near'> {
  readonly by: WriteMethod;
  /**
   * What happens to shipments that the database refuses: they are found by halving and refused alone, each half a transaction
   * (the default), or the write throws and nothing is stored: for callers who halve themselves.
   */
  readonly badRows?: 'isolate' | 'throw';
}

export interface ShipmentWriter {
  /** Writes all shipments in one transaction (see `badRows` for the exception); outcomes in the order of the input. */
  write(shipments: readonly ShipmentToWrite[], options: ShipmentWriteOptions): Promise<ShipmentOutcome[]>;
}

export interface ShipmentWriterDeps {
  readonly db: Database;
  readonly clock: Clock;
  readonly defaultCurrency: Currency;
  readonly onChange?: ShipmentsChanged;
}

export function createShipmentWriter(deps: ShipmentWriterDeps): ShipmentWriter {
  const { db, clock, defaultCurrency, onChange } = deps;

  const write = async (
    candidates: readonly Candidate[],
    { by: method, near }: ShipmentWriteOptions,
  ): Promise<ShipmentOutcome[]> => {
    let runs = 0;
    const { outcomes, changed } = await db.transaction(
      (tx) => writeBatchIn(tx, candidates, { clock, method, again: runs++ > 0 }),
      { idempotent: true, near },
    );
    await tellChange(onChange, changed);
    return outcomes;
  };

  return {
    async write(shipments, options) {
      const now = clock.now();
      const candidates = shipments.map(({ shipment, actor }): Candidate | ShipmentOutcome => {
        const placed = placeShipment(shipment, { now, actor, defaultCurrency });
        return placed === null
          ? refusal('occurred_at_in_future', shipment)
          : { placed, events: shipment.events, actor };
      });
      const good = candidates.filter((candidate) => 'placed' in candidate);
      if (good.length === 0) return candidates.filter((candidate) => 'kind' in candidate);
      const outcomes =
        options.badRows === 'throw'
          ? await write(good, options)
          : await writeHalving(
              good,
              (part) => write(part, options),
              ({ placed }) => refusal('shipment_refused', placed.shipment),
            );
      let next = 0;
      return candidates.map((candidate) => ('kind' in candidate ? candidate : (outcomes[next++] as ShipmentOutcome)));
    },
  };
}

const refusal = (code: 'occurred_at_in_future' | 'shipment_refused', key: ShipmentKey): ShipmentOutcome => ({
  kind: 'refused',
  code,
  key: { trackingKey: key.trackingKey, carrierKey: key.carrierKey },
});
