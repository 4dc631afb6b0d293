import { onlineRetailPreset } from './online-retail.ts';
import { defaultPreset } from './order-import-default.ts';
import type { ImportPreset } from './order-import-preset.ts';

export const importPresets = { default: defaultPreset, 'online-retail': onlineRetailPreset } as const satisfies Record<
  string,
  ImportPreset
>;
export type ImportPresetName = keyof typeof importPresets;
