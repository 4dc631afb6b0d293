import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { addressParts, readAddress } from './address.ts';
import { countryOf } from './country.ts';
import { toldAddress } from './shipment.ts';

type Part = string | null;
const parts = (...[street, postalCode, city, country]: readonly [Part, Part, Part, Part]) => ({
  street,
  postalCode,
  city,
  country,
});

describe('what can be read out of an address', () => {
  test.each([
    // The briefs' files.
    ['Street 1, 10115 Berlin, Germany', parts('Street 1', '10115', 'Berlin', 'DE')],
    ['Street 10, 75001 Paris, France', parts('Street 10', '75001', 'Paris', 'FR')],
    ['Street 10, 75001 Paris,France', parts('Street 10', '75001', 'Paris', 'FR')],
    ['Street 20, 1000 Brussels, Belgium', parts('Street 20', '1000', 'Brussels', 'BE')],
    ['Street 9, 1016 Amsterdam, Netherlands', parts('Street 9', '1016', 'Amsterdam', 'NL')],
    ['Street 15, 1050 Copenhagen, Denmark', parts('Street 15', '1050', 'Copenhagen', 'DK')],
    // Elsewhere.
    ['10 Downing Street, London SW1A 2AA, United Kingdom', parts('10 Downing Street', 'SW1A 2AA', 'London', 'GB')],
    ['221B Baker Street, London, nw1 6xe', parts('221B Baker Street', 'NW1 6XE', 'London', 'GB')],
    [
      '1600 Pennsylvania Ave NW, Washington, DC 20500, USA',
      parts('1600 Pennsylvania Ave NW', '20500', 'Washington', 'US'),
    ],
    ['350 5th Ave, New York, NY 10118-0110', parts('350 5th Ave', '10118-0110', 'New York', 'US')],
    ['1 Main St, Springfield IL 62701, U.S.A.', parts('1 Main St', '62701', 'Springfield', 'US')],
    ['Damrak 1, 1012 LG Amsterdam, The Netherlands', parts('Damrak 1', '1012 LG', 'Amsterdam', 'NL')],
    ['290 Bremner Blvd, Toronto, ON M5V 3L9, Canada', parts('290 Bremner Blvd', 'M5V 3L9', 'Toronto', 'CA')],
    ['1 Macquarie St, Sydney NSW 2000, Australia', parts('1 Macquarie St', '2000', 'Sydney', 'AU')],
    ['1 Grand Canal Sq, Dublin D02 P820, Ireland', parts('1 Grand Canal Sq', 'D02 P820', 'Dublin', 'IE')],
    ['Drottninggatan 1, 111 51 Stockholm, Sverige', parts('Drottninggatan 1', '111 51', 'Stockholm', 'SE')],
    ['ul. Złota 44, 00-120 Warszawa, Polska', parts('ul. Złota 44', '00-120', 'Warszawa', 'PL')],
    ['Rossio 1, 1100-200 Lisboa, Portugal', parts('Rossio 1', '1100-200', 'Lisboa', 'PT')],
    ['Hauptstr. 5, D-80331 München', parts('Hauptstr. 5', '80331', 'München', 'DE')],
    ['Bahnhofstrasse 1, CH-8001 Zürich, Schweiz', parts('Bahnhofstrasse 1', '8001', 'Zürich', 'CH')],
    ['ACME GmbH\nStreet 1\n10115 Berlin\nDE', parts('ACME GmbH, Street 1', '10115', 'Berlin', 'DE')],
    ['Street 1, Berlin, 10115, Germany', parts('Street 1', '10115', 'Berlin', 'DE')],
    ['Street 1, 10115 Berlin Germany', parts('Street 1', '10115', 'Berlin', 'DE')],
    ['1-1 Chiyoda, Tokyo 100-8111, Japan', parts('1-1 Chiyoda', '100-8111', 'Tokyo', 'JP')],
    ['Street 1, 01067 Dresden, Germany', parts('Street 1', '01067', 'Dresden', 'DE')],
    // Little to go by.
    ['Street 1, Berlin, Germany', parts('Street 1', null, 'Berlin', 'DE')],
    ['Berlin, Germany', parts(null, null, 'Berlin', 'DE')],
    ['Germany', parts(null, null, null, 'DE')],
    ['San Francisco, CA', parts(null, null, null, null)],
    ['Street 1', parts('Street 1', null, null, null)],
    ['somewhere', parts(null, null, null, null)],
    ['', parts(null, null, null, null)],
    [' , ,\n', parts(null, null, null, null)],
  ])('%j', (text, expected) => {
    expect(addressParts(text)).toEqual(expected);
  });

  test('never throws, takes no time, and invents nothing', () => {
    const line = fc.string({ unit: 'binary', maxLength: 60 });
    const pieces = fc.constantFrom('10115', 'Berlin', 'Germany', 'SW1A 2AA', 'CA', 'Street 1', '-', ' ', ',', '\n');
    const text = fc.oneof(
      line,
      fc.array(fc.oneof(pieces, line), { maxLength: 12 }).map((many) => many.join(' ')),
    );
    fc.assert(
      fc.property(text, (address) => {
        const { street, postalCode, city, country } = addressParts(address);
        expect(country === null || /^[A-Z]{2}$/.test(country)).toBe(true);
        const letters = (some: string) => some.toLowerCase().replace(/[\s,;]+/gu, '');
        for (const part of [street, postalCode, city])
          if (part !== null) expect(letters(address)).toContain(letters(part));
        for (const part of [street, postalCode, city]) expect(part).not.toBe('');
      }),
      { numRuns: 1_000 },
    );
    // Made to keep a careless pattern busy for years.
    for (const piece of ['1 ', 'A1 ', 'a ', ', ', 'A1A 1A', '  ']) addressParts(piece.repeat(20_000));
  });

  test('what was told wins over what was read', () => {
    const told = { ...toldAddress('Street 1, 10115 Berlin, Germany'), city: 'Berlin-Mitte' };
    expect(readAddress(told)).toEqual({
      address: 'Street 1, 10115 Berlin, Germany',
      ...parts('Street 1', '10115', 'Berlin-Mitte', 'DE'),
    });
  });
});

describe('countries', () => {
  test.each([
    ['Germany', 'DE'],
    ['deutschland', 'DE'],
    ['Allemagne', 'DE'],
    ['DEU', 'DE'],
    ['de', 'DE'],
    ['Turkey', 'TR'],
    ['Türkiye', 'TR'],
    ['Czech Republic', 'CZ'],
    ['Czechia', 'CZ'],
    ['Côte d’Ivoire', 'CI'],
    ['Saint Lucia', 'LC'],
    ['England', 'GB'],
    ['the netherlands', 'NL'],
    ['Bosnia and Herzegovina', 'BA'],
    ['South Korea', 'KR'],
    ['Niger', 'NE'],
    ['Nigeria', 'NG'],
    ['Guinea', 'GN'],
    ['Guinea-Bissau', 'GW'],
    ['Dominica', 'DM'],
    ['Dominican Republic', 'DO'],
    ['Atlantis', null],
    ['', null],
    ['constructor', null],
  ])('%s is %s', (name, code) => {
    expect(countryOf(name)).toBe(code);
  });
});
