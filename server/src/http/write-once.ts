/** What was made of an object, and what else it depends on. */
interface Written<R> {
  readonly variant: string;
  readonly result: R;
}

/**
 * Remembers the text that was made of an object for as long as that object lives: the cache hands out one and the same object while
 * nothing changed, so a much-asked document is written once and not at each request, and one that is read once is forgotten with it.
 * Rests on these objects never changing.
 */
export function writeOnce<T extends object, R = string>(
  write: (value: T, variant: string) => R,
): (value: T, variant: string) => R {
  const known = new WeakMap<T, Written<R>>();
  return (value, variant) => {
    const found = known.get(value);
    if (found !== undefined && found.variant === variant) return found.result;
    const result = write(value, variant);
    known.set(value, { variant, result });
    return result;
  };
}
