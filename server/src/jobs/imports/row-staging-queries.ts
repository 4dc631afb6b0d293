// The lines of an import file, until lines that belong together have found each other. A temporary table: it is gone with its
// session, however that ends, and on Citus it stays on the node the session is connected to.
export const createStaging = `
  set work_mem = '64MB';
  create temporary table import_lines (line bigint not null, key text collate "C" not null, cells text not null)`;

export const copyStaged = 'copy import_lines (key, line, cells) from stdin';

/** A temporary table is not analysed by itself, and without statistics the join below sorts everything twice. */
export const analyseStaging = 'analyze import_lines';

/** Rows of one key together, keys by their first line, rows by line. */
export const copyGrouped = `
  copy (select l.key, l.line, l.cells
          from import_lines l
          join (select key, min(line) as first from import_lines group by key) f on f.key = l.key
         order by f.first, l.line) to stdout`;
