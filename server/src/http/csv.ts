/** A cell of a CSV file: text is defused and quoted, numbers stand as they are, null is empty. */
export type CsvCell = string | number | null;

// What Excel, LibreOffice and Sheets take for a formula when a cell begins with it (OWASP: CSV injection).
const formula = /^[=+\-@\t\r]/;
const pureNumber = /^[+-]?\d+(\.\d+)?$/;
const needsQuotes = /[",\r\n]/;

/** Text that a spreadsheet would run gets a leading apostrophe; a plain number ("-5") is harmless and stays. */
export const defuse = (text: string): string => (formula.test(text) && !pureNumber.test(text) ? `'${text}` : text);

/** One record of RFC 4180, with its line end. */
export function csvRecord(cells: readonly CsvCell[]): string {
  return `${cells.map(cellText).join(',')}\r\n`;
}

function cellText(cell: CsvCell): string {
  if (cell === null) return '';
  if (typeof cell === 'number') return String(cell);
  const text = defuse(cell);
  return needsQuotes.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
