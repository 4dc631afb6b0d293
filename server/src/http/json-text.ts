import { formatInstant, type Instant } from '../core/time.ts';

// Printable ASCII without quote and backslash stands as it is; looking costs half of what JSON.stringify does.
const plain = /^[ !#-[\]-~]*$/;

/** A text, or null, as JSON. */
export function jsonText(text: string | null): string {
  if (text === null) return 'null';
  return plain.test(text) ? `"${text}"` : JSON.stringify(text);
}

/** An instant, or null, as JSON. */
export const jsonInstant = (at: Instant | null): string => (at === null ? 'null' : `"${formatInstant(at)}"`);
