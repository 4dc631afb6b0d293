/**
 * Passes a source on and throws the signal's reason when it is aborted, also while it waits for a piece that may never come,
 * like a pipe whose other end is silent.
 */
export async function* interruptible<T>(source: AsyncIterable<T>, signal: AbortSignal): AsyncGenerator<T> {
  const iterator = source[Symbol.asyncIterator]();
  for (;;) {
    signal.throwIfAborted();
    const next = await unlessAborted(iterator.next(), signal);
    if (next.done === true) return;
    yield next.value;
  }
}

// Not Promise.race against one promise for the whole file: that promise would keep every piece of the file in memory.
function unlessAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const onAbort = () => reject(signal.reason);
    signal.addEventListener('abort', onAbort, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort));
  });
}
