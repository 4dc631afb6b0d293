import { expect, test } from 'vitest';
import { isStorableText } from './text.ts';

test.each(['', 'abc', 'é 漢 🛒', '\u0001\u007f\uffff', '\ud83d\uded2'])('PostgreSQL stores %j', (text) => {
  expect(isStorableText(text)).toBe(true);
});

test.each(['\u0000', 'a\u0000b', '\ud83d', '\uded2', 'a\uded2\ud83d'])('PostgreSQL does not store %j', (text) => {
  expect(isStorableText(text)).toBe(false);
});
