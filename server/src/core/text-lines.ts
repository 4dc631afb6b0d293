/**
 * Bytes that are no UTF-8 are read as this character, so a line that holds it was damaged or has another encoding. One that was
 * written into the file as such is damage of an earlier conversion, and is told like the other.
 */
const damaged = '\uFFFD';

/** Whether some bytes of the text were no UTF-8. */
export const isDamagedText = (text: string): boolean => text.includes(damaged);

/** Decodes UTF-8 piece by piece, without a byte order mark; bytes that are none become U+FFFD. */
export async function* utf8Text(chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder('utf-8');
  for await (const chunk of chunks) {
    const text = decoder.decode(chunk, { stream: true });
    if (text !== '') yield text;
  }
  const rest = decoder.decode();
  if (rest !== '') yield rest;
}

export interface TextLine {
  /** Counted from 1. */
  readonly line: number;
  readonly text: string;
  /** The line was longer than allowed; `text` is its beginning. */
  readonly tooLong: boolean;
}

/**
 * Cuts text into lines without their ends (LF or CRLF), in groups: those that one piece of text completed.
 * @param maxChars a longer line is cut there and its rest skipped, so that memory stays bounded
 */
export async function* textLines(texts: AsyncIterable<string>, maxChars: number): AsyncGenerator<TextLine[]> {
  let rest = '';
  let line = 1;
  let skipping = false;
  for await (const text of texts) {
    const pieces = (rest + text).split('\n');
    rest = pieces.pop() ?? '';
    const lines: TextLine[] = [];
    for (const piece of pieces) {
      if (!skipping) lines.push(lineOf(piece, line, maxChars));
      skipping = false;
      line++;
    }
    if (skipping) rest = '';
    if (rest.length > maxChars) {
      lines.push(lineOf(rest, line, maxChars));
      rest = '';
      skipping = true;
    }
    if (lines.length > 0) yield lines;
  }
  if (rest !== '' && !skipping) yield [lineOf(rest, line, maxChars)];
}

function lineOf(text: string, line: number, maxChars: number): TextLine {
  if (text.length > maxChars) return { line, text: text.slice(0, maxChars), tooLong: true };
  return { line, text: text.endsWith('\r') ? text.slice(0, -1) : text, tooLong: false };
}
