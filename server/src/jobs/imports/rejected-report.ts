import type { RejectedLine } from '../../core/import-line.ts';
import type { JobContext, Json } from '../job.ts';
import type { ImportFiles, RejectedLines } from './import-files.ts';
import type { ImportParameters } from './import-parameters.ts';
import type { ImportStore } from './import-store.ts';

/** Tells what was rejected, in the order of the file, once everything is written. */
export interface RejectedReport {
  /** Goes on behind the last line it told, however often it is called. @returns the first ones, to be kept with the run */
  tell(): Promise<readonly Json[]>;
  close(): Promise<void>;
}

const keptLines = 10;

export function createRejectedReport(
  files: ImportFiles,
  store: ImportStore,
  { parameters, db }: Pick<JobContext<ImportParameters>, 'parameters' | 'db'>,
): RejectedReport {
  const kept: Json[] = [];
  let target: RejectedLines | null = null;
  let toldTo = 0;
  let isWhole = false;

  const close = async () => {
    await target?.close();
    target = null;
  };
  return {
    async tell() {
      // Cleared up already: whoever did so had told everything.
      if (isWhole || !(await store.isThere(db))) return kept;
      target ??= await files.openRejected(parameters.errors);
      for (;;) {
        const page = await store.rejectedAfter(db, toldTo);
        for (const line of page) {
          await target.add(line);
          toldTo = line.line;
          if (kept.length < keptLines) kept.push(briefly(line));
        }
        if (page.length === 0) break;
      }
      await close();
      isWhole = true;
      return kept;
    },
    close,
  };
}

// What jsonb takes: neither NUL nor half a character.
const briefly = ({ line, code, detail }: RejectedLine): Json => ({
  line,
  error: code,
  detail: detail.slice(0, 300).toWellFormed().replaceAll('\u0000', '\uFFFD'),
});
