/** What Redis knows of a key. Ages in ms, counted from before the value was read from the database. */
export type Fetched =
  /** Not older than allowed; `trusted`: every change since was heard here, and would have deleted it. */
  | { readonly kind: 'value'; readonly json: string; readonly ageMs: number; readonly trusted: boolean }
  /** Nothing that may count as fresh. `lease` allows to store what is loaded now; `older` is for when it cannot be loaded. */
  | {
      readonly kind: 'nothing';
      readonly lease: string | null;
      readonly older: { readonly json: string; readonly ageMs: number } | null;
    };

export const nothingFetched: Fetched = { kind: 'nothing', lease: null, older: null };

/** The layer between servers. None of its calls throws: without it everything works, only slower. */
export interface SharedLayer {
  fetch(cache: string, key: string): Promise<Fetched>;
  store(cache: string, key: string, value: { readonly lease: string; readonly json: string }): void;
  /** Deletes what is kept under these keys. What is fetched after the call does not see it any more. */
  drop(cache: string, keys: readonly string[]): void;
  /** From now on changes are heard: what was leased before cannot be trusted. */
  beginSession(): void;
  isUp(): boolean;
  close(): void;
}
