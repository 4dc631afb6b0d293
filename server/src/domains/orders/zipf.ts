import type { Random } from '../../core/pseudo-random.ts';

/**
 * Draws ranks 0..count-1 by Zipf's law: rank k in proportion to 1 / (k + 1)^exponent. Vose's alias method: a draw takes the
 * same few operations however many ranks there are; the tables take 12 bytes a rank.
 */
export function zipfSampler(count: number, exponent: number): (random: Random) => number {
  const weights = Float64Array.from({ length: count }, (_, k) => (k + 1) ** -exponent);
  const mean = weights.reduce((sum, weight) => sum + weight, 0) / count;
  const share = weights.map((weight) => weight / mean);
  const alias = new Uint32Array(count);
  const small: number[] = [];
  const large: number[] = [];
  for (const [k, value] of share.entries()) (value < 1 ? small : large).push(k);
  for (;;) {
    const poor = small.pop();
    const rich = large[large.length - 1];
    if (poor === undefined || rich === undefined) break;
    alias[poor] = rich;
    const left = (share[rich] ?? 0) + (share[poor] ?? 0) - 1;
    share[rich] = left;
    if (left < 1) {
      large.pop();
      small.push(rich);
    } else if (poor === rich) break;
  }
  // What remains on either list has a share of 1, but for rounding: it is its own alias.
  for (const k of [...small, ...large]) share[k] = 1;
  return (random) => {
    const place = random() * count;
    const column = Math.floor(place);
    return place - column < (share[column] ?? 1) ? column : (alias[column] ?? column);
  };
}
