export interface LookAheadOptions<Item, Reader> {
  /** The next items in their order, some that weigh about as much as asked for; null = there are no more. */
  pull(reader: Reader, weight: number): Promise<readonly Item[] | null>;
  weightOf(item: Item): number;
  /** What it takes of memory, about. */
  sizeOf(item: Item): number;
  /** Items that take more together are not held, and not given out at once, but for a single one. */
  maxSize: number;
  /** Reads on while what was given out is worked at; null = nothing is read before it is asked for. */
  background: Reader | null;
}

export interface LookAheadAsk<Item, Reader> {
  readonly reader: Reader;
  /** What the answer shall weigh: it reaches that, unless the items end or grow too large before. */
  readonly weight: number;
  /** Items that are not wanted any more, or were done before. They stand in front of all others. */
  isDone(item: Item): boolean;
}

/** Items of a source that may be asked for again until they are done, with the next ones read meanwhile. */
export interface LookAhead<Item, Reader> {
  /** The first items that are not done; none = the source has ended. One at a time. */
  take(ask: LookAheadAsk<Item, Reader>): Promise<readonly Item[]>;
  /** Waits until nothing is read any more. */
  settle(): Promise<void>;
}

// Batches grow by a fifth at most.
const growth = 1.25;

export function createLookAhead<Item, Reader>(options: LookAheadOptions<Item, Reader>): LookAhead<Item, Reader> {
  const { pull, weightOf, sizeOf, maxSize, background } = options;
  let items: Item[] = [];
  let ended = false;
  let reading: Promise<void> = Promise.resolve();

  /** How many of the first items reach the weight or the size; null = all of them do not. */
  const reach = (weight: number): number | null => {
    let weightSum = 0;
    let sizeSum = 0;
    for (const [i, item] of items.entries()) {
      weightSum += weightOf(item);
      sizeSum += sizeOf(item);
      if (weightSum >= weight || sizeSum >= maxSize) return i + 1;
    }
    return null;
  };
  const read = async (reader: Reader, weight: number, isDone: (item: Item) => boolean): Promise<void> => {
    while (!ended && reach(weight) === null) {
      const pulled = await pull(reader, weight);
      if (pulled === null) ended = true;
      else for (const item of pulled) if (!isDone(item)) items.push(item);
    }
  };

  return {
    async take({ reader, weight, isDone }) {
      const before = reading;
      reading = Promise.resolve();
      await before;
      const first = items.findIndex((item) => !isDone(item));
      items = first < 0 ? [] : items.slice(first);
      await read(reader, weight, isDone);
      const taken = items.slice(0, reach(weight) ?? items.length);
      if (background !== null) {
        const takenWeight = taken.reduce((sum, item) => sum + weightOf(item), 0);
        reading = read(background, takenWeight + weight * growth, () => false);
        // Told when the next ones are asked for.
        reading.catch(() => {});
      }
      return taken;
    },
    settle: () => reading.catch(() => {}),
  };
}
