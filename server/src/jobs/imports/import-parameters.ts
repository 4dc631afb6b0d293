import { hash } from 'node:crypto';
import { z } from 'zod';

const path = z.string().min(1).max(4_096);

/** What every import of a file takes. */
export const importParameterFields = {
  file: path.meta({ description: 'The absolute path of the file.' }),
  sha256: z
    .string()
    .regex(/^[0-9a-f]{64}$/)
    .nullable()
    .default(null)
    .meta({ description: 'Of the file as it stands: a run never goes on with a file that was changed.' }),
  map: z
    .record(z.string(), z.string())
    .default({})
    .meta({ description: 'Field -> column, for columns with other names.' }),
  errors: path.nullable().default(null).meta({
    description: 'The absolute path of a file for the rejected rows; it is written when the run ends.',
  }),
} as const;

/** The part of the parameters that is the same for all imports. */
export interface ImportParameters {
  readonly file: string;
  readonly sha256: string | null;
  readonly map: Readonly<Record<string, string>>;
  readonly errors: string | null;
}

/** Two imports of the same file that understand it alike are the same. @param more what else the understanding depends on */
export const importKey = ({ file, sha256, map }: ImportParameters, more: string): string =>
  hash('sha256', JSON.stringify([file, sha256, more, Object.entries(map).sort()]), 'hex');
