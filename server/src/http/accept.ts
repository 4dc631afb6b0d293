import { httpError } from './failure.ts';

interface Range {
  readonly type: string;
  readonly quality: number;
}

function rangesOf(accept: string): Range[] {
  return accept.split(',').map((part) => {
    const [type = '', ...parameters] = part.split(';').map((text) => text.trim().toLowerCase());
    const quality = parameters.find((parameter) => parameter.startsWith('q='))?.slice(2);
    return { type, quality: quality === undefined ? 1 : Number(quality) || 0 };
  });
}

/**
 * The offered media type that Accept likes best; the first one where it does not care.
 * @throws DomainError `not_acceptable`
 */
export function negotiate<T extends string>(accept: string | undefined, offers: readonly [T, ...T[]]): T {
  if (accept === undefined || accept.trim() === '') return offers[0];
  const ranges = rangesOf(accept);
  let best: { offer: T; quality: number } | null = null;
  for (const offer of offers) {
    const candidates = [offer, `${offer.split('/')[0]}/*`, '*/*'];
    const range = candidates
      .map((type) => ranges.find((candidate) => candidate.type === type))
      .find((found) => found !== undefined);
    if (range !== undefined && range.quality > (best?.quality ?? 0)) best = { offer, quality: range.quality };
  }
  if (best === null) throw httpError('not_acceptable', `This call answers ${offers.join(' or ')}.`);
  return best.offer;
}
