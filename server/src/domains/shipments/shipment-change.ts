import type { ShipmentKey } from './tracking-key.ts';

/** Told after a commit which shipments it made or changed. */
export type ShipmentsChanged = (keys: readonly ShipmentKey[]) => void | Promise<void>;

/** What is stored is stored: a listener that fails is no reason to fail the write. */
export async function tellChange(onChange: ShipmentsChanged | undefined, keys: readonly ShipmentKey[]): Promise<void> {
  if (onChange === undefined || keys.length === 0) return;
  try {
    await onChange(keys);
  } catch {}
}
