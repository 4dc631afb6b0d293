/** What is one piece in SQL whatever it holds: a comment, a quoted name or text, or a dollar-quoted text. */
const pieces = /--[^\n]*|\/\*[\s\S]*?\*\/|'(?:[^']|'')*'|"(?:[^"]|"")*"|\$([A-Za-z_]\w*)?\$[\s\S]*?\$\1\$|;/g;

/**
 * The statements of a script, one after another. Citus sends the text it was sent on to its nodes and refuses one that holds several.
 * For our own scripts: no nested comments, no `E'\''`, no `begin atomic`.
 */
export function statementsOf(script: string): string[] {
  const statements: string[] = [];
  let from = 0;
  for (const { 0: piece, index } of script.matchAll(pieces)) {
    if (piece !== ';') continue;
    statements.push(script.slice(from, index));
    from = index + 1;
  }
  statements.push(script.slice(from));
  return statements
    .map((text) => text.trim())
    .filter((text) => text.replace(/--[^\n]*|\/\*[\s\S]*?\*\//g, '').trim() !== '');
}
