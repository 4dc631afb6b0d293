import { describe, expect, test } from 'vitest';
import { readParameters } from './jobs-start.ts';

describe('--param', () => {
  test.each([
    ['repair=true', { repair: true }],
    ['repair=false', { repair: false }],
    ['scope=null', { scope: null }],
    ['count=1000', { count: 1000 }],
    ['zipf=0.5', { zipf: 0.5 }],
    ['offset=-3', { offset: -3 }],
    ['from=2026-01-01', { from: '2026-01-01' }],
    ['code=007', { code: '007' }],
    ['number=12345678901234567890', { number: '12345678901234567890' }],
    ['reason=lost = found', { reason: 'lost = found' }],
    ['reason=', { reason: '' }],
    ['reason="5"', { reason: '5' }],
    ['events=["a","b"]', { events: ['a', 'b'] }],
    ['note={not JSON', { note: '{not JSON' }],
    ['__proto__=1', JSON.parse('{"__proto__":1}')],
  ])('%s', (text, parameters) => expect(readParameters({ param: [text] })).toStrictEqual(parameters));

  test('stands over --parameters, and the last one of a name counts', () => {
    const parameters = '{"repair":false,"from":"2026-01-01"}';
    expect(readParameters({ param: ['repair=1', 'repair=true'], parameters })).toEqual({
      repair: true,
      from: '2026-01-01',
    });
  });
});
