/** A value of COPY's text format: null is \N; numbers and bigints as they print. */
export type CopyValue = string | number | bigint | null;
const reserved = /[\\\t\n\r\b\f\v]/;
const escapes: Readonly<Record<string, string>> = {
  '\\': '\\\\',
  '\t': '\\t',
  '\n': '\\n',
  '\r': '\\r',
  '\b': '\\b',
  '\f': '\\f',
  '\v': '\\v',
};

/** One field of COPY's text format (PostgreSQL manual, COPY, "Text Format"). */
export function copyField(value: CopyValue): string {
  if (value === null) return '\\N';
  if (typeof value !== 'string') return String(value);
  return reserved.test(value) ? value.replace(/[\\\t\n\r\b\f\v]/g, (c) => escapes[c] ?? c) : value;
}

/** One line of COPY's text format, with its line end. */
export function copyLine(values: readonly CopyValue[]): string {
  let line = '';
  for (let i = 0; i < values.length; i++) line += (i === 0 ? '' : '\t') + copyField(values[i] ?? null);
  return `${line}\n`;
}

const chunkChars = 64 * 1024;

/** Encodes rows as COPY text in chunks of about 64 kB, so that the socket gets few large writes and memory stays bounded. */
export function* copyChunks<Row>(rows: Iterable<Row>, encode: (row: Row) => readonly CopyValue[]): Generator<Buffer> {
  let text = '';
  for (const row of rows) {
    text += copyLine(encode(row));
    if (text.length >= chunkChars) {
      yield Buffer.from(text, 'utf8');
      text = '';
    }
  }
  if (text !== '') yield Buffer.from(text, 'utf8');
}
