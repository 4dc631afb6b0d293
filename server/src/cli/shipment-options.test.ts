import { Command } from 'commander';
import { describe, expect, test } from 'vitest';
import type { ShipmentId } from '../core/ids.ts';
import { dayMs, type Instant } from '../core/time.ts';
import { formatPosition } from '../domains/shipments/shipment-list.ts';
import { everyShipment } from '../testing/test-shipment-rows.ts';
import {
  positionAfter,
  readShipmentFilter,
  type ShipmentFilterOptions,
  shipmentOfArguments,
  withShipmentFilter,
} from './shipment-options.ts';
import { UsageError } from './stopped.ts';

const read = (...flags: string[]) => {
  const command = withShipmentFilter(new Command()).parse(flags, { from: 'user' });
  return readShipmentFilter(command.opts<ShipmentFilterOptions>());
};

describe('the flags of a list', () => {
  test('select everything, newest first, when there are none', () => {
    expect(read()).toEqual({ filter: everyShipment, direction: 'newest', silentMs: 5 * dayMs });
  });

  test('are compared as the shipments are', () => {
    const { filter } = read('--number', ' tn-00 1', '--carrier', 'royal mail', '--city', 'Zürich', '--country', 'ch');
    expect(filter).toEqual({
      ...everyShipment,
      trackingKey: 'TN001',
      carrierKey: 'ROYALMAIL',
      cityKey: 'zurich',
      country: 'CH',
    });
  });

  test.each(['DE', 'de', 'DEU', 'Germany', 'Allemagne'])('take the country as HTTP does: %s', (name) => {
    expect(read('--country', name).filter.country).toBe('DE');
  });

  test('name the silence of those that need attention', () => {
    const { filter, silentMs } = read('--needs-attention', '--silent-days', '3');
    expect(filter.needsAttention).toEqual({ silentMs: 3 * dayMs });
    expect(silentMs).toBe(3 * dayMs);
  });

  test.each([
    ['--carrier', ' - '],
    ['--number', 'x'.repeat(65)],
    ['--status', 'lost'],
    ['--country', 'Atlantis'],
    ['--country', 'QQ'],
    ['--order', '17'],
    ['--silent-days', '0'],
    ['--updated-from', 'yesterday'],
  ])('say what is wrong with %s "%s"', (flag, value) => {
    expect(() => read(flag, value)).toThrow(UsageError);
    expect(() => read(flag, value)).toThrow(value);
  });

  test('do not take --oldest where the list has an order of its own', () => {
    expect(read('--oldest').direction).toBe('oldest');
    expect(() => read('--oldest', '--needs-attention')).toThrow(UsageError);
    expect(() => read('--oldest', '--updated-from', '2026-01-31')).toThrow(UsageError);
  });
});

test('a shipment is named in any spelling, and never by nothing', () => {
  expect(shipmentOfArguments(['royal-mail', ' rr 00-12 '])).toEqual({ carrierKey: 'ROYALMAIL', trackingKey: 'RR0012' });
  for (const names of [
    ['', '1'],
    ['DHL', '--'],
    ['DHL', '\0'],
    ['DHL', '\ud800'],
  ])
    expect(() => shipmentOfArguments(names)).toThrow(UsageError);
});

test('a list goes on behind the place that its page named, and behind no other kind of place', () => {
  const shipmentId = '0197c0b9-3e00-7a5c-9f3e-5d2f8c1b7a60' as ShipmentId;
  const at = Date.parse('2026-01-31T12:30:00.123Z') as Instant;
  const changes = { ...everyShipment, updatedFrom: at };
  for (const [filter, position] of [
    [everyShipment, { shipmentId, at: null }],
    [changes, { shipmentId, at }],
  ] as const) {
    expect(positionAfter(formatPosition(position), filter)).toEqual(position);
  }
  expect(() => positionAfter(formatPosition({ shipmentId, at: null }), changes)).toThrow(UsageError);
  expect(() => positionAfter(formatPosition({ shipmentId, at }), everyShipment)).toThrow(UsageError);
  expect(() => positionAfter('somewhere', everyShipment)).toThrow(UsageError);
});
