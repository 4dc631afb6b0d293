import { utf8Text } from '../core/text-lines.ts';

const unescapes: Readonly<Record<string, string>> = { b: '\b', f: '\f', n: '\n', r: '\r', t: '\t', v: '\v' };

/** One field of COPY's text format as its value; `\N` is null. */
function fieldValue(field: string): string | null {
  if (field === '\\N') return null;
  return field.includes('\\') ? field.replace(/\\(.)/g, (_, c: string) => unescapes[c] ?? c) : field;
}

/**
 * Decodes what COPY … TO STDOUT sends in text format: rows of values as text, in groups, at the consumer's pace.
 * The bytes may be cut anywhere.
 */
export async function* copiedRows(
  chunks: AsyncIterable<Buffer> | Iterable<Buffer>,
): AsyncGenerator<(string | null)[][]> {
  let rest = '';
  for await (const text of utf8Text(chunks)) {
    const lines = (rest + text).split('\n');
    rest = lines.pop() ?? '';
    if (lines.length > 0) yield lines.map((line) => line.split('\t').map(fieldValue));
  }
}
