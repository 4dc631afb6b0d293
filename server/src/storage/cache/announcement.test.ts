import fc from 'fast-check';
import { expect, test } from 'vitest';
import { parseAnnouncement, payloadsOf } from './announcement.ts';

test('whatever the keys, the messages are small enough for PostgreSQL and say exactly them', () => {
  fc.assert(
    fc.property(fc.array(fc.string({ unit: 'binary', maxLength: 250 }), { maxLength: 60 }), (keys) => {
      const payloads = payloadsOf('shipments', keys);
      for (const payload of payloads) expect(Buffer.byteLength(payload)).toBeLessThan(8_000);
      const heard = payloads.flatMap((payload) => {
        const announcement = parseAnnouncement(payload);
        expect(announcement).toMatchObject({ kind: 'changes', cache: 'shipments' });
        return announcement?.kind === 'changes' ? announcement.keys : [];
      });
      expect(heard).toEqual(keys);
    }),
    { numRuns: 50 },
  );
});

test('what nobody of ours sent is no announcement', () => {
  for (const payload of ['', 'hello', '{}', '[1]', '["orders", null]', '"orders"'])
    expect(parseAnnouncement(payload)).toBeNull();
});
