/**
 * Does the work for every item, at most `width` at a time, and pulls the next item only when one of them may begin: while
 * some are being worked on, the source makes the next one. The first error ends it, after the work under way has ended.
 */
export async function forEachParallel<T>(
  source: AsyncIterable<T>,
  width: number,
  work: (item: T) => Promise<void>,
): Promise<void> {
  const running = new Set<Promise<void>>();
  const failures: unknown[] = [];
  const begin = (item: T): void => {
    const run = work(item)
      .catch((error: unknown) => void failures.push(error))
      .finally(() => running.delete(run));
    running.add(run);
  };
  try {
    for await (const item of source) {
      begin(item);
      if (running.size >= width) await Promise.race(running);
      if (failures.length > 0) break;
    }
  } finally {
    await Promise.all(running);
  }
  if (failures.length > 0) throw failures[0];
}
