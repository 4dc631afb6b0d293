import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/**
 * A file that comes with Milliard. Its folder lies one folder above the bundle and two above this source.
 * @throws Error when it is missing
 */
export function packagedFile(name: string): string {
  const candidates = ['..', '../..'].map((up) => fileURLToPath(new URL(`${up}/sample-data/${name}`, import.meta.url)));
  const found = candidates.find((path) => existsSync(path));
  if (found === undefined) throw new Error(`The sample data is missing: ${candidates[0]}. Install Milliard again.`);
  return found;
}
