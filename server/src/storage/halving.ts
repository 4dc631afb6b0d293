import { StorageError } from './faults.ts';

/**
 * Writes rows in one transaction; when their data make it fail, they are halved until the row that the database refuses stands
 * alone, each half a transaction, in the order of the rows.
 * @param write writes its rows in one transaction; outcomes in their order
 * @param refused the outcome of a row that the database refuses
 */
export async function writeHalving<Row, Outcome>(
  rows: readonly Row[],
  write: (rows: readonly Row[]) => Promise<Outcome[]>,
  refused: (row: Row) => Outcome,
): Promise<Outcome[]> {
  try {
    return await write(rows);
  } catch (error) {
    if (!(error instanceof StorageError) || error.fault?.kind !== 'data') throw error;
    const [row] = rows;
    if (row !== undefined && rows.length === 1) return [refused(row)];
    const middle = rows.length >> 1;
    const left = await writeHalving(rows.slice(0, middle), write, refused);
    return [...left, ...(await writeHalving(rows.slice(middle), write, refused))];
  }
}
