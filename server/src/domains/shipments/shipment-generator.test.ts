import { describe, expect, test } from 'vitest';
import { parseCurrency } from '../../core/money.ts';
import { dayMs, type Instant } from '../../core/time.ts';
import { addressParts } from './address.ts';
import { articleKeyOf } from './shipment.ts';
import { createShipmentMaker, type GenerateShipmentsOptions } from './shipment-generator.ts';
import { generatedCarriers, generatedCities } from './shipment-generator-words.ts';
import { statusOfCode } from './shipment-status-codes.ts';
import { bucketOfShipment, keyText, shipmentKeyOf } from './tracking-key.ts';

const to = Date.parse('2026-06-30T00:00:00Z');
const currency = parseCurrency('EUR') ?? expect.fail();
const options = (more: Partial<GenerateShipmentsOptions> = {}): GenerateShipmentsOptions => ({
  count: 3_000,
  from: (to - 30 * dayMs) as Instant,
  to: to as Instant,
  seed: 7,
  currency,
  ...more,
});
const make = (more: Partial<GenerateShipmentsOptions> = {}) => {
  const maker = createShipmentMaker(options(more), (target) => target.fill(1));
  return Array.from({ length: options(more).count }, (_, i) => maker(i + 1));
};
const all = make();

describe('made-up shipments', () => {
  test('are the same for the same options, wherever one begins; others for another seed', () => {
    const maker = createShipmentMaker(options(), (target) => target.fill(1));
    expect(maker(2_345)).toEqual(all[2_344]);
    expect(make({ seed: 8, count: 1 })).not.toEqual(all.slice(0, 1));
  });

  test('have keys of their own, and those of round seeds do not meet', () => {
    const keys = (seed: number) => make({ seed }).map(({ shipment }) => keyText(shipment));
    const seen = new Set([...keys(0), ...keys(1_000), ...keys(300_000)]);
    expect(seen.size).toBe(9_000);
    for (const { shipment, bucket } of all) {
      expect(shipmentKeyOf(shipment.carrier, shipment.trackingNumber)).toMatchObject({
        carrierKey: shipment.carrierKey,
        trackingKey: shipment.trackingKey,
      });
      expect(bucket).toBe(bucketOfShipment(shipment));
    }
  });

  test('have addresses of which the reader finds the same parts', () => {
    for (const { shipment } of all.slice(0, 500)) {
      for (const place of [shipment.sender, shipment.receiver]) {
        const { address, ...parts } = place ?? expect.fail();
        expect(addressParts(address)).toEqual(parts);
      }
    }
  });

  test('have been on their way in every state, and nothing happens outside of their time', () => {
    const statuses = new Set(all.map(({ shipment }) => shipment.status));
    for (const status of [
      'pre_transit',
      'in_transit',
      'out_for_delivery',
      'delivered',
      'exception',
      'returned',
    ] as const)
      expect(statuses).toContain(status);
    for (const { shipment } of all) {
      expect(shipment.createdAt).toBeGreaterThanOrEqual(to - 30 * dayMs);
      expect(shipment.updatedAt).toBeLessThan(to);
      expect(shipment.events.map(({ seq }) => seq)).toEqual(shipment.events.map((_, i) => shipment.events.length - i));
      expect(new Set(shipment.articles.map(articleKeyOf)).size).toBe(shipment.articles.length);
    }
  });

  test('use codes that are known, of carriers that share everything', () => {
    for (const { codes } of generatedCarriers)
      for (const code of Object.values(codes)) expect(statusOfCode(code).known).toBe(true);
    expect(generatedCarriers.reduce((sum, { share }) => sum + share, 0)).toBe(100);
    expect(generatedCities.length).toBeGreaterThan(20);
  });
});
