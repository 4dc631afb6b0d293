import { expect, test } from 'vitest';
import { isDamagedText, textLines, utf8Text } from './text-lines.ts';

async function lines(chunks: readonly Uint8Array[], maxChars = 100) {
  const found = [];
  for await (const group of textLines(utf8Text(chunks), maxChars)) found.push(...group);
  return found;
}
const bytes = (text: string) => [...Buffer.from(text)].map((byte) => Uint8Array.of(byte));

test('lines come without their ends and without a byte order mark, however the bytes are cut', async () => {
  expect(await lines(bytes('\uFEFFÄ\r\n\nb'))).toEqual([
    { line: 1, text: 'Ä', tooLong: false },
    { line: 2, text: '', tooLong: false },
    { line: 3, text: 'b', tooLong: false },
  ]);
});

test('a line that is too long is cut, its rest skipped, and the next one has its own number', async () => {
  expect(await lines(bytes(`${'x'.repeat(30)}\nnext\n`), 10)).toEqual([
    { line: 1, text: 'x'.repeat(10), tooLong: true },
    { line: 2, text: 'next', tooLong: false },
  ]);
});

test('bytes that are no UTF-8 can be told', async () => {
  const [line] = await lines([Uint8Array.of(0x41, 0xe4, 0x41)]);
  expect(isDamagedText(line?.text ?? '')).toBe(true);
});
