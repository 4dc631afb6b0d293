/** An ISO 4217 code of three capital letters. */
export type Currency = string & { readonly __brand: 'Currency' };

/** The largest amount in minor units that JSON carries without loss: 2^53 - 1. */
export const maxMinorUnits = Number.MAX_SAFE_INTEGER;

// ISO 4217 minor units where they are not 2 (list of 2024-06). Codes without a minor unit (XAU, XTS, …) are not currencies to pay in.
const minorDigitsOf: Readonly<Record<string, number>> = {
  BIF: 0,
  CLP: 0,
  DJF: 0,
  GNF: 0,
  ISK: 0,
  JPY: 0,
  KMF: 0,
  KRW: 0,
  PYG: 0,
  RWF: 0,
  UGX: 0,
  VND: 0,
  VUV: 0,
  XAF: 0,
  XOF: 0,
  XPF: 0,
  BHD: 3,
  IQD: 3,
  JOD: 3,
  KWD: 3,
  LYD: 3,
  OMR: 3,
  TND: 3,
};
const twoDigitCurrencies = new Set(
  (
    'AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF CNY COP CRC CUP CVE CZK ' +
    'DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK ' +
    'LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON ' +
    'RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD UYU UZS VED VES WST ' +
    'XCD XCG YER ZAR ZMW ZWG'
  ).split(' '),
);

/** The code as a currency, or null when ISO 4217 has no such currency to pay in. */
export function parseCurrency(code: string): Currency | null {
  return twoDigitCurrencies.has(code) || Object.hasOwn(minorDigitsOf, code) ? (code as Currency) : null;
}

/** Digits behind the decimal point: 2 for EUR, 0 for JPY, 3 for KWD. */
export const minorDigits = (currency: Currency): number => minorDigitsOf[currency] ?? 2;

export type MajorUnitsFault = 'not_a_number' | 'negative' | 'finer_than_minor_unit' | 'too_large';

/**
 * Reads an amount in major units as files carry it ("25", "25.00", "0.5") into whole minor units, exactly.
 * Trailing zeros are no finer unit: "2.5500" is 255 in EUR, "2.555" is a fault.
 */
export function parseMajorUnits(text: string, currency: Currency): number | MajorUnitsFault {
  const match = /^\s*([+-]?)(\d{1,20})(?:\.(\d{0,20}))?\s*$/.exec(text);
  if (match === null) return 'not_a_number';
  const digits = minorDigits(currency);
  const fraction = (match[3] ?? '').replace(/0+$/, '');
  const negative = match[1] === '-';
  if (negative && (Number(match[2]) !== 0 || fraction !== '')) return 'negative';
  if (fraction.length > digits) return 'finer_than_minor_unit';
  const minor = BigInt(`${match[2]}${fraction.padEnd(digits, '0')}`);
  return minor > BigInt(maxMinorUnits) ? 'too_large' : Number(minor);
}

/** Minor units as a decimal text in major units: 1999 EUR is "19.99". Exact. */
export function formatMajorUnits(minor: bigint, currency: Currency): string {
  const digits = minorDigits(currency);
  const sign = minor < 0n ? '-' : '';
  const text = (minor < 0n ? -minor : minor).toString().padStart(digits + 1, '0');
  return digits === 0 ? sign + text : `${sign}${text.slice(0, -digits)}.${text.slice(-digits)}`;
}
