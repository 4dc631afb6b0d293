/**
 * Requests with the same key share a look-up, but only one that began after they arrived: what changed before a request came
 * (an API key was revoked) is never taken from an older answer, and a thousand requests cost a few look-ups instead of a thousand.
 */
export function shareLookUps<T>(lookUp: (id: string) => Promise<T>): (id: string) => Promise<T> {
  const running = new Map<string, Promise<T>>();
  const waiting = new Map<string, Promise<T>>();
  const begin = (id: string): Promise<T> => {
    const lookup = lookUp(id).finally(() => {
      if (running.get(id) === lookup) running.delete(id);
    });
    running.set(id, lookup);
    return lookup;
  };
  return (id) => {
    const current = running.get(id);
    if (current === undefined) return begin(id);
    const next =
      waiting.get(id) ??
      current
        .catch(() => {})
        .then(() => {
          waiting.delete(id);
          return begin(id);
        });
    waiting.set(id, next);
    return next;
  };
}
