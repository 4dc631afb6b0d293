import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { open } from 'node:fs/promises';
import { finished } from 'node:stream/promises';
import { rejectedHeading, rejectedText } from '../core/rejected-text.ts';
import type { RejectedLines } from '../jobs/imports/import-files.ts';

/** The file of rejected lines cannot be written. */
export class RejectedFileError extends Error {
  override readonly name = 'RejectedFileError';
}

function failed(path: string, error: unknown): RejectedFileError {
  const code = error instanceof Error && 'code' in error ? error.code : error;
  return new RejectedFileError(`${path} cannot be written (${code}).`, { cause: error });
}

/** Makes the file where there is none, and leaves one that is there as it is. @throws RejectedFileError when it cannot be written */
export async function requireWritable(path: string): Promise<void> {
  try {
    const file = await open(path, 'a');
    await file.close();
  } catch (error) {
    throw failed(path, error);
  }
}

/**
 * Begins a file of rejected lines; what stood there before is gone.
 * @throws RejectedFileError when it cannot be written
 */
export async function openRejectedLinesFile(path: string): Promise<RejectedLines> {
  const file = createWriteStream(path);
  try {
    await once(file, 'open');
  } catch (error) {
    throw failed(path, error);
  }
  const ended = finished(file).catch((error: unknown) => {
    throw failed(path, error);
  });
  // Told at the end; without this a full disk would end the process.
  ended.catch(() => {});
  let begun = false;
  return {
    async add(line) {
      const text = `${begun ? '' : rejectedHeading(line)}${rejectedText(line)}`;
      begun = true;
      if (!file.write(text)) await Promise.race([once(file, 'drain'), ended]);
    },
    async close() {
      file.end();
      await ended;
    },
  };
}
