import { describe, expect, test } from 'vitest';
import { decodePlace, encodePlace } from './place-cursor.ts';

const isNumber = (text: string) => /^\d+$/.test(text);

describe('a cursor of a place', () => {
  test('leads back to it', () => {
    expect(decodePlace(encodePlace('42', 'errors of X'), 'errors of X', isNumber)).toBe('42');
  });

  test('belongs to its query', () => {
    const cursor = encodePlace('42', 'errors of X');
    expect(() => decodePlace(cursor, 'errors of Y', isNumber)).toThrow(
      expect.objectContaining({ code: 'cursor_mismatch' }),
    );
  });

  test.each(['', 'x', '!!!!', encodePlace('forty-two', 'q'), `${encodePlace('42', 'q')}=`, encodePlace('', 'q'), 'AQ'])(
    '%j is none',
    (text) => {
      expect(() => decodePlace(text, 'q', isNumber)).toThrow(expect.objectContaining({ code: 'cursor_malformed' }));
    },
  );
});
