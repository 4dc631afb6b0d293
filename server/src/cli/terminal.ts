import type { Writable } from 'node:stream';

/** A standard stream of the process. */
export type Terminal = Writable & { readonly isTTY?: boolean; readonly columns?: number };
