/** A load under way. */
export interface Flight {
  /** The answer is at least as new as this moment. Monotonic ms. */
  sinceMs: number;
  /** Its key was forgotten meanwhile: the answer is for those who waited already, and is not kept. */
  isForgotten: boolean;
  /** It looks whether a lost database is back. */
  readonly isProbe: boolean;
}

/** Loads under way. Newcomers may join one a key, while it is young; older ones that are still waited for are remembered beside it. */
export interface Flights<Answer> {
  /** The answer of the load under way where it began at most `youngMs` ago, else of a new one. */
  join(key: string, isProbe: boolean, fly: (flight: Flight) => Promise<Answer>): Promise<Answer>;
  /** Whoever comes from now on begins a load of his own. */
  forget(key: string): void;
  forgetAll(): void;
}

interface UnderWay<Answer> {
  readonly flight: Flight;
  readonly answer: Promise<Answer>;
}

export function createFlights<Answer>(youngMs: number, now: () => number): Flights<Answer> {
  /** The newest last. */
  const flights = new Map<string, UnderWay<Answer>[]>();
  const land = (key: string, flight: Flight): void => {
    const left = (flights.get(key) ?? []).filter((other) => other.flight !== flight);
    if (left.length > 0) flights.set(key, left);
    else flights.delete(key);
  };
  const forget = (key: string): void => {
    const all = flights.get(key);
    if (all === undefined) return;
    for (const { flight } of all) flight.isForgotten = true;
    flights.delete(key);
  };
  return {
    join(key, isProbe, fly) {
      const all = flights.get(key) ?? [];
      const newest = all.at(-1);
      if (newest !== undefined && now() - newest.flight.sinceMs <= youngMs) return newest.answer;
      const flight: Flight = { sinceMs: now(), isForgotten: false, isProbe };
      const answer = fly(flight).finally(() => land(key, flight));
      flights.set(key, [...all, { flight, answer }]);
      return answer;
    },
    forget,
    forgetAll() {
      for (const key of [...flights.keys()]) forget(key);
    },
  };
}
