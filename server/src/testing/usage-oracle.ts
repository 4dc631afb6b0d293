/** Usage as it should be, by brute force: every amount that was ever added to a sum is kept, and each question adds all of them up. */

/** What one record, correction or adjustment adds to the sums of a subscription, type and UTC day. */
export interface Amount {
  readonly subscriptionId: string;
  readonly usageType: string;
  /** `2024-02-29` */
  readonly day: string;
  readonly records: bigint;
  readonly used: bigint;
  /** Millionths. */
  readonly price: bigint;
}

/** The amounts of one committed transaction. */
export interface OracleBatch {
  readonly amounts: readonly Amount[];
  isRolledUp: boolean;
}

export interface OracleSum extends Omit<Amount, 'day'> {
  /** null = of all days together */
  readonly day: string | null;
}

export interface OracleQuery {
  readonly from: string;
  readonly to: string;
  readonly usageType: string | null;
  readonly isFresh: boolean;
}

const everything = { from: '0001-01-01', to: '9999-12-31', usageType: null } as const;

/** Every sum that is something, in the order of its key. */
export function sumsOf(batches: readonly OracleBatch[], query: OracleQuery, isByDay: boolean): OracleSum[] {
  const sums = new Map<string, OracleSum>();
  for (const { amounts, isRolledUp } of batches) {
    if (!isRolledUp && !query.isFresh) continue;
    for (const amount of amounts) {
      const { subscriptionId, usageType, day } = amount;
      if (day < query.from || day > query.to) continue;
      if (query.usageType !== null && usageType !== query.usageType) continue;
      const key = JSON.stringify([subscriptionId, usageType, isByDay ? day : '']);
      const sum = sums.get(key) ?? { ...amount, day: isByDay ? day : null, records: 0n, used: 0n, price: 0n };
      sums.set(key, {
        ...sum,
        records: sum.records + amount.records,
        used: sum.used + amount.used,
        price: sum.price + amount.price,
      });
    }
  }
  return [...sums.entries()]
    .filter(([, { records, used, price }]) => records !== 0n || used !== 0n || price !== 0n)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([, sum]) => sum);
}

/** What is there of one sum now, rolled up or not. */
export function presentOf(
  batches: readonly OracleBatch[],
  { subscriptionId, usageType, day }: Pick<Amount, 'subscriptionId' | 'usageType' | 'day'>,
): Pick<Amount, 'used' | 'price'> {
  const found = sumsOf(batches, { ...everything, usageType, from: day, to: day, isFresh: true }, true);
  return found.find((sum) => sum.subscriptionId === subscriptionId) ?? { used: 0n, price: 0n };
}

export interface OracleOverLimit {
  readonly subscriptionId: string;
  readonly exceeded: readonly {
    readonly usageType: string;
    readonly totalPrice: string;
    readonly exceededBy: string;
  }[];
}

/** Who has reached the limit, in millionths, each with the types that did. */
export function overLimitOf(
  batches: readonly OracleBatch[],
  query: Partial<OracleQuery> & Pick<OracleQuery, 'isFresh'>,
  limit: bigint,
): OracleOverLimit[] {
  const reached = new Map<string, OracleOverLimit['exceeded']>();
  for (const { subscriptionId, usageType, price } of sumsOf(batches, { ...everything, ...query }, false)) {
    if (price < limit) continue;
    const exceeded = { usageType, totalPrice: amountText(price), exceededBy: amountText(price - limit) };
    reached.set(subscriptionId, [...(reached.get(subscriptionId) ?? []), exceeded]);
  }
  return [...reached].map(([subscriptionId, exceeded]) => ({ subscriptionId, exceeded }));
}

/** Millionths as the API writes them: two places at least, no further zeros. */
export function amountText(micros: bigint): string {
  const digits = String(micros < 0n ? -micros : micros).padStart(7, '0');
  const places = digits.slice(-6).replace(/0{1,4}$/, '');
  return `${micros < 0n ? '-' : ''}${digits.slice(0, -6)}.${places}`;
}

/** `0.25` in millionths. */
export function microsText(decimal: string): bigint {
  const [whole = '0', places = ''] = decimal.split('.');
  return BigInt(whole) * 1_000_000n + BigInt(places.padEnd(6, '0') || '0');
}

/** A moment in microseconds since 1970 as RFC 3339 in a zone so many minutes east of Greenwich. */
export function momentText(micros: bigint, offsetMinutes: number): string {
  const local = micros + BigInt(offsetMinutes) * 60_000_000n;
  const seconds = local / 1_000_000n;
  const fraction = String(local % 1_000_000n).padStart(6, '0');
  const clock = new Date(Number(seconds) * 1_000).toISOString().slice(0, 19);
  const minutes = Math.abs(offsetMinutes);
  const zone = `${String(Math.floor(minutes / 60)).padStart(2, '0')}:${String(minutes % 60).padStart(2, '0')}`;
  return `${clock}.${fraction}${offsetMinutes < 0 ? '-' : '+'}${zone}`;
}

/** The UTC day of a moment in microseconds. */
export const dayText = (micros: bigint): string => new Date(Number(micros / 1_000n)).toISOString().slice(0, 10);
