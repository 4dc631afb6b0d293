import fc from 'fast-check';
import { expect, test } from 'vitest';
import { displayed, parseTableName, qualified, quoted } from './table-name.ts';

test.each([
  ['tickets', { schema: null, table: 'tickets' }],
  ['public.Tickets', { schema: 'public', table: 'Tickets' }],
  ['my schema.my table', { schema: 'my schema', table: 'my table' }],
  ['"my.schema"."a ""b"""', { schema: 'my.schema', table: 'a "b"' }],
  ['shop.x"y', { schema: 'shop', table: 'x"y' }],
  ["public.t'; drop table t; --", { schema: 'public', table: "t'; drop table t; --" }],
])('%s names a table exactly', (text, name) => {
  expect(parseTableName(text)).toEqual(name);
});

test.each(['', '.', 'a.', '.a', 'a..b', 'a.b.c', '"a', '"a"b', '""', 'a."b'])('%j names none', (text) => {
  expect(parseTableName(text)).toBeNull();
});

test('a name survives being shown and read again', () => {
  const name = fc.string({ minLength: 1 });
  fc.assert(
    fc.property(fc.record({ schema: fc.option(name), table: name }), (of) => {
      expect(parseTableName(displayed(of))).toEqual(of);
      expect(parseTableName(qualified(of))).toEqual(of);
    }),
  );
});

test('a quoted name cannot end before its end', () => {
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom('"', 'a', ';', ' ', '.') }), (name) => {
      expect(quoted(name).slice(1, -1).replaceAll('""', '')).not.toContain('"');
    }),
  );
});
