import { openRejectedLinesFile, RejectedFileError, requireWritable } from '../flows/rejected-lines-file.ts';
import type { RejectedLines } from '../jobs/imports/import-files.ts';
import type { Output } from './output.ts';
import { UsageError } from './stopped.ts';

/** Where rejected lines go: the first ones to the person, all of them to the file of --errors and to --json. */
export type RejectedFile = RejectedLines;

const shownLines = 10;

/**
 * @param path of the file, null for none; it is made at once, so that a folder that cannot be written to is known before
 * @throws UsageError when the file cannot be written
 */
export async function openRejectedFile(output: Output, path: string | null): Promise<RejectedFile> {
  const file = path === null ? null : await openRejectedLinesFile(path).catch(refuse);
  let shown = 0;
  return {
    async add(line) {
      if (output.json) await output.record({ line: line.line, error: line.code, detail: line.detail });
      else if (shown++ < shownLines) output.warn(`line ${line.line}: ${line.code}: ${line.detail}`);
      else if (shown === shownLines + 1) output.warn('… and more');
      await file?.add(line);
    },
    close: async () => file?.close(),
  };
}

/** Before work that will take its time. @throws UsageError when the file of --errors cannot be written */
export const requireRejectedFile = (path: string): Promise<void> => requireWritable(path).catch(refuse);

function refuse(error: unknown): never {
  if (error instanceof RejectedFileError) throw new UsageError(`--errors: ${error.message}`);
  throw error;
}
