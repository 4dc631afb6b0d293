import { describe, expect, test } from 'vitest';
import { dynamic, sql, statement } from './sql.ts';

describe('statement', () => {
  test('keeps its text and turns arguments into values', () => {
    const byName = statement<object, [string, number]>('by_name', 'select $1, $2', (name, age) => [name, age]);
    const attack = "'; drop table orders; --";
    expect(byName(attack, 3)).toEqual({ name: 'by_name', text: 'select $1, $2', values: [attack, 3] });
    expect(byName('x', 4).text).toBe(byName('y', 5).text);
  });

  test('without arguments has no values', () => {
    expect(statement('one', 'select 1')()).toEqual({ name: 'one', text: 'select 1', values: [] });
  });
});

describe('dynamic', () => {
  test('makes every value a parameter, nested fragments too', () => {
    const attack = `"'; drop table orders; --`;
    const condition = sql`and a = ${attack}`;
    const made = dynamic(sql`select 1 where b = any(${[1, 2]}::int[]) ${condition} limit ${5}`);
    expect(made.text).toBe('select 1 where b = any($1::int[]) and a = $2 limit $3');
    expect(made.values).toEqual([[1, 2], attack, 5]);
    expect(made.name).toBeUndefined();
  });
});
