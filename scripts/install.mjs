import { createHash } from 'node:crypto';
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Advice, report, root, run, since } from './steps.mjs';

const modules = join(root, 'node_modules');
const marker = join(modules, '.milliard-lock-hash');

/** Installs the packages of package-lock.json unless they are there. Prints the step and its time. @throws Advice */
export async function install() {
  const wanted = wantedInstall();
  if (readIfThere(marker) === wanted) return;
  if (matchesLock()) {
    mark(wanted);
    return;
  }
  const startMs = performance.now();
  report('install: npm ci …');
  await npmCi();
  mark(wanted);
  report(`install: done in ${since(startMs)}`);
}

/** True when what stands in node_modules is what `install` would leave there. */
export const isInstalled = () => readIfThere(marker) === wantedInstall();

// Native packages differ by platform: a checkout on a shared disk is installed again there.
function wantedInstall() {
  const lock = createHash('sha256')
    .update(readFileSync(join(root, 'package-lock.json')))
    .digest('hex');
  return `${lock} ${process.platform} ${process.arch}\n`;
}

function mark(wanted) {
  try {
    writeFileSync(marker, wanted);
  } catch (error) {
    // Somebody else's node_modules that fit: nothing to do but compare them again next time.
    if (error.code !== 'EACCES' && error.code !== 'EROFS') throw error;
  }
}

/**
 * True when a person's own `npm install` left exactly the packages of the lock file. npm writes its hidden lock file last,
 * so an install that was interrupted has none.
 */
function matchesLock() {
  const hidden = readIfThere(join(modules, '.package-lock.json'));
  if (hidden === undefined) return false;
  const installed = JSON.parse(hidden).packages;
  const wanted = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')).packages;
  return Object.entries(wanted)
    .filter(([path]) => path.includes('node_modules/'))
    .every(([path, entry]) =>
      path in installed ? installed[path].version === entry.version : entry.optional === true,
    );
}

async function npmCi() {
  const args = [
    'ci',
    '--no-audit',
    '--no-fund',
    '--prefer-offline',
    '--include=dev',
    '--include=optional',
    '--loglevel=error',
  ];
  // Inside `npm start` the npm that runs us is known, whatever PATH says.
  const npmCli = process.env.npm_execpath;
  const [command, ...before] = npmCli?.endsWith('npm-cli.js') ? [process.execPath, npmCli] : ['npm'];
  const { code, signal, output } = await run(command, [...before, ...args], { capture: true }).catch((error) => {
    if (error.code === 'ENOENT')
      throw new Advice('npm is not there. Install it (Debian: apt install npm), then start again.');
    throw error;
  });
  if (signal !== null || /npm error signal SIG/.test(output)) {
    report('install: interrupted; start again to finish it.');
    process.exit(130);
  }
  if (code !== 0) throw new Advice(`${adviceFor(output)}\n\nnpm said:\n${lastLines(output)}`);
}

const ADVICE = [
  [/ENOSPC/, 'the disk is full: npm could not write the packages. Free some space (about 400 MB), then start again.'],
  [/EACCES|EPERM|EROFS/, notWritable],
  [
    /ENOTFOUND|EAI_AGAIN|ETIMEDOUT|ECONNREFUSED|ECONNRESET|ENETUNREACH|ERR_SOCKET_TIMEOUT|ENOTCACHED/,
    'npm cannot reach the package registry. Check the network (or the proxy, `npm config get proxy`), then start again.',
  ],
  [/EBADENGINE/, 'a package refuses this version of Node. Use Node 20.19 or newer, then start again.'],
  [/EINTEGRITY/, 'a package arrived damaged. Run `npm cache clean --force`, then start again.'],
  [
    /can only install|Missing: .* from lock file/,
    'package.json and package-lock.json disagree. Run `npm install`, then start again.',
  ],
];

function adviceFor(output) {
  const [, advice] = ADVICE.find(([pattern]) => pattern.test(output)) ?? [];
  if (advice === undefined) return 'npm ci failed. What it says below may help; `npm ci` shows all of it.';
  return typeof advice === 'function' ? advice() : advice;
}

function notWritable() {
  const owner = existsSync(modules) ? statSync(modules).uid : statSync(root).uid;
  const whose = owner === process.getuid?.() ? '' : ` (it belongs to user id ${owner}, this is ${process.getuid?.()})`;
  const what = existsSync(modules) ? modules : root;
  return `npm may not write to ${what} or to its cache${whose}. Run as the owner, or remove node_modules, or clone into a folder of your own.`;
}

const lastLines = (text) => {
  const told = text.split('\n').filter((line) => line.trim() !== '' && !/^npm error\s+at |^npm error\s*$/.test(line));
  return told.slice(-12).join('\n');
};

function readIfThere(path) {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return undefined;
    throw error;
  }
}
