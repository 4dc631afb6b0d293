import { type FileHandle, mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { httpError } from './failure.ts';

export interface OutcomeSpool {
  /**
   * Adds text behind what was added before. Never waits for the reader.
   * @throws DomainError `spool_full` when more than `limitBytes` would wait on disk
   */
  write(text: string): Promise<void>;
  /** Nothing follows but this last text, which is kept whether or not the spool is full. The reader ends after `until`. */
  end(last: string, until?: Promise<void>): void;
  /** Everything written, in order, at the reader's pace. For one reader; when it stops, the file is gone. */
  read(): AsyncGenerator<Buffer>;
}

export interface OutcomeSpoolOptions {
  readonly limitBytes: number;
  /** What waits in memory before the file is used. */
  readonly memoryBytes?: number;
}

const readBytes = 64 * 1024;

/**
 * Holds outcomes that the client of a bulk request has not read yet: a little in memory, more in a temporary file. So a client
 * may send everything before it reads anything, and the memory of the server stays bounded.
 */
export function createOutcomeSpool({ limitBytes, memoryBytes = 256 * 1024 }: OutcomeSpoolOptions): OutcomeSpool {
  // Invariant: what is in memory comes before what is in the file.
  let memory: Buffer[] = [];
  let inMemory = 0;
  let file: FileHandle | null = null;
  let written = 0;
  let consumed = 0;
  let last: Buffer | null = null;
  let ending: Promise<void> = Promise.resolve();
  let abandoned = false;
  let wake = (): void => {};

  const append = async (chunk: Buffer): Promise<void> => {
    if (written - consumed + chunk.length > limitBytes) {
      throw httpError(
        'spool_full',
        'More outcomes are unread than this server keeps. Read while sending, or ask for ?report=rejected.',
      );
    }
    file ??= await openUnnamed();
    // The reader may have left meanwhile, and closed nothing because nothing was open.
    if (abandoned) return file.close();
    await file.write(chunk, 0, chunk.length, written);
    written += chunk.length;
  };

  const fromFile = async (): Promise<Buffer> => {
    if (file === null) throw new RangeError('There is no file to read from.');
    const chunk = Buffer.allocUnsafe(Math.min(readBytes, written - consumed));
    const { bytesRead } = await file.read(chunk, 0, chunk.length, consumed);
    consumed += bytesRead;
    return chunk.subarray(0, bytesRead);
  };

  return {
    async write(text) {
      if (text === '' || abandoned) return;
      const chunk = Buffer.from(text);
      if (written === consumed && inMemory + chunk.length <= memoryBytes) {
        memory.push(chunk);
        inMemory += chunk.length;
      } else await append(chunk);
      wake();
    },
    end(text, until = Promise.resolve()) {
      last ??= Buffer.from(text);
      ending = until;
      wake();
    },
    async *read() {
      try {
        for (;;) {
          const chunk = memory.shift();
          if (chunk !== undefined) {
            inMemory -= chunk.length;
            yield chunk;
          } else if (consumed < written) yield await fromFile();
          else if (last !== null) {
            if (last.length > 0) yield last;
            return await ending;
          } else {
            await new Promise<void>((resolve) => {
              wake = resolve;
            });
          }
        }
      } finally {
        abandoned = true;
        memory = [];
        await file?.close();
      }
    },
  };
}

/** A file without a name: it is gone with its handle, also after a kill -9. */
async function openUnnamed(): Promise<FileHandle> {
  const folder = await mkdtemp(join(tmpdir(), 'milliard-spool-'));
  try {
    return await open(join(folder, 'outcomes'), 'wx+', 0o600);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
