/** A number in [0, 1). */
export type Random = () => number;

// So many rounds until the state depends on every bit of the seed.
const warmUpRounds = 12;

/**
 * A repeatable source of numbers (sfc32): fast and even enough for made-up data, useless for secrets.
 * @param seed 0 .. 2^32 - 1
 * @param stream streams of one seed have nothing to do with each other: 0 .. 2^53 - 1
 */
export function createRandom(seed: number, stream = 0): Random {
  let a = seed | 0;
  let b = stream | 0;
  let c = Math.floor(stream / 4_294_967_296) | 0;
  let counter = 1;
  const next = (): number => {
    const sum = (a + b + counter++) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = (((c << 21) | (c >>> 11)) + sum) | 0;
    return (sum >>> 0) / 4_294_967_296;
  };
  for (let round = 0; round < warmUpRounds; round++) next();
  return next;
}
