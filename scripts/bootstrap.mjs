import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { build, isBuilt } from './build.mjs';
import { withFolderLock } from './folder-lock.mjs';
import { install, isInstalled } from './install.mjs';
import { Advice, report, root } from './steps.mjs';

/**
 * Makes a fresh clone ready to run: right Node, packages installed, server built. Does nothing where nothing changed.
 * Two starts at the same time wait for each other.
 * @param {{ builds?: boolean }} [options] builds: false only installs
 * @throws Advice with what to do
 */
export async function bootstrap({ builds = true } = {}) {
  checkNode();
  if (isInstalled() && (!builds || isBuilt())) return;
  const onWait = (pid) => report(`install: process ${pid} is installing or building here, waiting for it …`);
  try {
    await withFolderLock(join(root, '.bootstrap.lock'), () => installAndBuild(builds), { onWait });
  } catch (error) {
    if (error.code === 'ENOSPC')
      throw new Advice('the disk is full. Free some space, then start again.', { cause: error });
    if (!['EACCES', 'EPERM', 'EROFS'].includes(error.code)) throw error;
    const advice = `${error.path ?? root} may not be written by this user. Run as its owner or clone into a folder of your own.`;
    throw new Advice(advice, { cause: error });
  }
}

async function installAndBuild(builds) {
  await install();
  if (builds) await build();
}

function checkNode() {
  const { engines } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  const [major, minor] = engines.node
    .replace(/[^\d.]/g, '')
    .split('.')
    .map(Number);
  const [hasMajor, hasMinor] = process.versions.node.split('.').map(Number);
  if (hasMajor > major || (hasMajor === major && hasMinor >= (minor ?? 0))) return;
  throw new Advice(`Node ${major}.${minor ?? 0} or newer is needed (24 is best); this is ${process.versions.node}.`);
}
