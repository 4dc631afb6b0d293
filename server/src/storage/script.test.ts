import { expect, test } from 'vitest';
import { knownMigrations, migrationText } from './migrator.ts';
import { statementsOf } from './script.ts';

test('cuts a script behind each statement', () => {
  expect(statementsOf('begin; create table a (b int);\ncommit')).toEqual(['begin', 'create table a (b int)', 'commit']);
  expect(statementsOf('select 1;')).toEqual(['select 1']);
  expect(statementsOf('')).toEqual([]);
});

test('a semicolon in a text, a name, a comment or a body ends nothing', () => {
  const script = `insert into t values ('a;''b;'); -- no; more
    select "x;y" /* ; */ from t; do $$ begin perform 1; end $$; do $a$ select '$$;'; $a$; -- the end;`;
  expect(statementsOf(script)).toEqual([
    `insert into t values ('a;''b;')`,
    `-- no; more\n    select "x;y" /* ; */ from t`,
    'do $$ begin perform 1; end $$',
    `do $a$ select '$$;'; $a$`,
  ]);
});

test('loses nothing of the migrations but semicolons and comments at the end', () => {
  const bare = (text: string) => text.replace(/--[^\n]*/g, '').replace(/[\s;]/g, '');
  for (const name of knownMigrations()) {
    const statements = statementsOf(migrationText(name));
    expect(bare(statements.join(''))).toBe(bare(migrationText(name)));
    for (const text of statements) expect(bare(text)).toMatch(/^(create|insert|alter|drop|update|select)/i);
  }
});
