import { countryOf } from './country.ts';
import type { Address } from './shipment.ts';

type Parts = Omit<Address, 'address'>;
type Locality = Omit<Parts, 'street'>;

/** What was told of an address, and for the rest what can be read out of its text; what is not found is null. Never throws. */
export function readAddress(told: Address): Address {
  const { address, street, postalCode, city, country } = told;
  if (street !== null && postalCode !== null && city !== null && country !== null) return told;
  const read = addressParts(address);
  return {
    address,
    street: street ?? read.street,
    postalCode: postalCode ?? read.postalCode,
    city: city ?? read.city,
    country: country ?? read.country,
  };
}

/** Street, postal code, city and country out of the text of an address as people write it in one line or several. */
export function addressParts(text: string): Parts {
  const lines = text
    .split(/[,;\r\n]/)
    .map((part) => part.replace(/\s+/gu, ' ').trim())
    .filter((part) => part !== '');
  const { country, rest } = takeCountry(lines);
  const { locality, street } = takeLocality(rest, country);
  return { street: street.length === 0 ? null : street.join(', '), ...locality };
}

const nothing: Locality = { postalCode: null, city: null, country: null };

const states = new Set(
  (
    'AL AK AZ AR CA CO CT DE FL GA HI ID IL IN IA KS KY LA ME MD MA MI MN MS MO MT NE NV NH NJ NM NY NC ND OH OK OR PA RI SC SD TN TX UT VT ' +
    'VA WA WV WI WY DC PR AB BC MB NB NL NS NT NU ON PE QC SK YT NSW QLD VIC TAS ACT'
  ).split(' '),
);

/** The country is the last line, or the last words of it behind a city ("75001 Paris France"). */
function takeCountry(lines: readonly string[]): { country: string | null; rest: readonly string[] } {
  const last = lines.at(-1);
  if (last === undefined) return { country: null, rest: lines };
  const front = lines.slice(0, -1);
  // "San Francisco, CA" is no place in Canada; behind a postal code it is a country: "10115 Berlin, DE".
  const isState = states.has(last) && !/\d/.test(front.at(-1) ?? '');
  const whole = isState ? null : countryOf(last);
  if (whole !== null) return { country: whole, rest: front };
  const words = last.split(' ');
  for (let count = Math.min(4, words.length - 1); count >= 1; count--) {
    const name = words.slice(-count).join(' ');
    // Short ones are states and parts of postal codes ("1016 NL") more often than countries.
    const code = name.length < 3 ? null : countryOf(name);
    const before = words.slice(0, -count).join(' ');
    if (code !== null && /\d/.test(before)) return { country: code, rest: [...front, before] };
  }
  return { country: null, rest: lines };
}

function takeLocality(
  lines: readonly string[],
  country: string | null,
): { locality: Locality; street: readonly string[] } {
  const last = lines.at(-1);
  if (last === undefined) return { locality: { ...nothing, country }, street: [] };
  const found = codeAndCity(last, country) ?? codeOnly(last, country);
  const front = lines.slice(0, -1);
  if (found !== null && found.city === null) {
    // "Berlin, 10115" and "New York, NY 10118": the city is the line before, unless that is all there is of a street.
    const city = front.at(-1) ?? null;
    const isCity = city !== null && (front.length > 1 || !/\d/.test(city));
    return { locality: { ...found, city: isCity ? city : null }, street: isCity ? front.slice(0, -1) : front };
  }
  if (found !== null) return { locality: found, street: front };
  // No postal code: behind a street, or before a country, what remains is a city; a line alone may be anything.
  const isCity = (front.length > 0 || country !== null) && !/\d/.test(last) && !states.has(last);
  if (isCity) return { locality: { ...nothing, city: last, country }, street: front };
  if (states.has(last) && front.length > 0) return takeLocality(front, country);
  return { locality: { ...nothing, country }, street: /\d/.test(last) ? lines : [] };
}

// The patterns match from one end of a line of an address, which is cut at 200 characters, and hold no nested repetition.
const maxLine = 200;

// 10115, 1016 AB, 114 55, 00-001, 1000-001, each with the sign of a country before it at will: D-10115, CH-8001.
const codeFirst =
  /^(?:([A-Z]{1,3})[- ])?(\d{4} ?[A-Z]{2}|\d{4}-\d{3}|\d{3}-\d{4}|\d{2}-\d{3}|\d{3} \d{2}|\d{4,7}) ([^\d].*)$/u;
const british = /^(?:(.*\S) )?([A-Z]{1,2}\d[A-Z\d]? ?\d[A-Z]{2})$/i;
const irish = /^(?:(.*\S) )?([A-Z]\d[\dW] ?[A-Z\d]{4})$/i;
const canadian = /^(?:(.*\S) )?([A-Z]\d[A-Z][ -]?\d[A-Z]\d)$/i;
const american = /^(?:(.*\S) )?([A-Z]{2}) (\d{5}(?:-\d{4})?)$/;
const codeLast = /^(.*[^\d\s]) (\d{4,7}|\d{3}-\d{4}|\d{5}-\d{3})$/;

/** Signs of countries before a postal code that are not their alpha-2 code. */
const signs: Readonly<Record<string, string>> = {
  D: 'DE',
  F: 'FR',
  A: 'AT',
  B: 'BE',
  I: 'IT',
  E: 'ES',
  L: 'LU',
  S: 'SE',
  N: 'NO',
  P: 'PT',
  H: 'HU',
  FL: 'LI',
};

function codeAndCity(given: string, country: string | null): Locality | null {
  const line = given.slice(0, maxLine);
  const first = codeFirst.exec(line);
  if (first !== null) {
    const [, sign, postalCode = null, city = null] = first;
    const signed = sign === undefined ? null : (signs[sign] ?? (sign.length === 2 ? countryOf(sign) : null));
    return { postalCode, city, country: country ?? signed };
  }
  return americanPlace(line, country) ?? letteredCode(line, country) ?? placeThenCode(line, country);
}

function americanPlace(line: string, country: string | null): Locality | null {
  const [, city = null, state = '', postalCode = null] = american.exec(line) ?? [];
  if (postalCode === null || !states.has(state) || (country !== null && country !== 'US')) return null;
  return { postalCode, city, country: 'US' };
}

/** Postal codes of letters and digits stand behind the city and belong to one country each. */
function letteredCode(line: string, country: string | null): Locality | null {
  for (const [pattern, owner] of [
    [british, 'GB'],
    [canadian, 'CA'],
    [irish, 'IE'],
  ] as const) {
    if (country !== null && country !== owner) continue;
    const [, before = null, code = null] = pattern.exec(line) ?? [];
    if (code === null) continue;
    const words = (before ?? '').split(' ').filter((word) => word !== '');
    // "Toronto ON M5V 2T6": the province is no part of the city.
    if (owner === 'CA' && states.has(words.at(-1) ?? '')) words.pop();
    return { postalCode: code.toUpperCase(), city: words.length === 0 ? null : words.join(' '), country: owner };
  }
  return null;
}

function placeThenCode(line: string, country: string | null): Locality | null {
  const [, before = null, postalCode = null] = codeLast.exec(line) ?? [];
  // Without a country "Main Street 1234" would be a city with a postal code.
  if (before === null || postalCode === null || country === null) return null;
  const words = before.split(' ');
  if (words.length > 1 && states.has(words.at(-1) ?? '')) words.pop();
  const city = words.join(' ');
  return { postalCode, city: states.has(city) ? null : city, country };
}

const alone = /^(?:\d{4} ?[A-Z]{2}|\d{4,7}|\d{3} \d{2}|\d{2}-\d{3}|\d{4}-\d{3}|\d{3}-\d{4}|\d{5}-\d{3,4})$/;

/** A line that is a postal code and nothing else. */
const codeOnly = (line: string, country: string | null): Locality | null =>
  alone.test(line) ? { postalCode: line, city: null, country } : null;
