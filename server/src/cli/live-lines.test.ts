import { Writable } from 'node:stream';
import { expect, test } from 'vitest';
import { createLiveLines } from './live-lines.ts';

const sequenceOrCharacter = new RegExp(`${'\x1b'}\\[\\d*[A-Z]|[\\s\\S]`, 'g');

/** What stands on a terminal after it was sent these characters: a small part of what terminals do. */
function screenOf(text: string): string[] {
  const lines = [''];
  let [row, column] = [0, 0];
  for (const [token] of text.matchAll(sequenceOrCharacter)) {
    if (token === '\n') {
      row++;
      column = 0;
      lines[row] ??= '';
    } else if (token === '\r') column = 0;
    else if (token === '\x1b[1A') row--;
    else if (token === '\x1b[2K') lines[row] = '';
    else {
      lines[row] = (lines[row] ?? '').padEnd(column).slice(0, column) + token + (lines[row] ?? '').slice(column + 1);
      column++;
    }
  }
  return lines;
}

function terminal() {
  let text = '';
  const stream = Object.assign(
    new Writable({
      write(chunk, _encoding, done) {
        text += String(chunk);
        done();
      },
    }),
    { isTTY: true, columns: 80 },
  );
  return { stream, live: createLiveLines(stream), screen: () => screenOf(text) };
}

test('painted lines take the place of the ones before, also shorter ones', () => {
  const { live, screen } = terminal();
  live.paint(['a long first line', 'a long second line']);
  live.paint(['one', 'two']);
  expect(screen()).toEqual(['one', 'two']);
});

test('what is written above stays, and the lines stand below it', () => {
  const { stream, live, screen } = terminal();
  live.paint(['one', 'two']);
  live.above(() => stream.write('a warning\n'));
  live.paint(['three', 'four']);
  expect(screen()).toEqual(['a warning', 'three', 'four']);
});

test('cleared lines leave nothing behind, and what follows begins where they stood', () => {
  const { stream, live, screen } = terminal();
  stream.write('before\n');
  live.paint(['one', 'two']);
  live.clear();
  live.above(() => stream.write('after\n'));
  expect(screen()).toEqual(['before', 'after', '']);
});

test('a line leaves the last column free, and has some room on any terminal', () => {
  expect(terminal().live.columns()).toBe(79);
  expect(createLiveLines(Object.assign(new Writable(), { columns: 1 })).columns()).toBe(10);
});
