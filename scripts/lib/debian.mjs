import { accessSync, closeSync, constants, openSync, readFileSync, readSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { run, say } from './process.mjs';

const systemDirectories = ['/usr/local/sbin', '/usr/local/bin', '/usr/sbin', '/usr/bin', '/sbin', '/bin'];

/** Returns the identifiers of the distribution, its own first, for instance `['ubuntu', 'debian']`. */
export function distribution() {
  try {
    const text = readFileSync('/etc/os-release', 'utf8');
    const value = (key) => text.match(new RegExp(`^${key}=["']?([^"'\\n]*)`, 'm'))?.[1] ?? '';
    return `${value('ID')} ${value('ID_LIKE')}`.split(/\s+/).filter(Boolean);
  } catch {
    return [];
  }
}

/** Tells whether packages may be installed here: root on Debian or Ubuntu, and the setup was not refused. */
export function mayInstall() {
  const debian = distribution().some((id) => id === 'debian' || id === 'ubuntu');
  return debian && process.getuid() === 0 && process.env.OPENCODE_TOOLS_NO_ENGINE_SETUP !== '1';
}

/** Returns the path of a command, looking in the system directories as well as in PATH. */
export function findCommand(name) {
  const directories = [...(process.env.PATH ?? '').split(delimiter), ...systemDirectories];
  return directories.map((directory) => join(directory, name)).find(isExecutable);
}

/** Installs packages of the distribution, without their recommendations, and returns apt's exit code. */
export async function aptInstall(packages) {
  say(`Installing ${packages.join(', ')} with apt-get.`);
  const env = { DEBIAN_FRONTEND: 'noninteractive' };
  const updated = await run('apt-get', ['update', '-qq'], { env });
  if (updated !== 0) say('apt-get update failed; trying with the package lists at hand.');
  return await run('apt-get', ['install', '-y', '-qq', '--no-install-recommends', ...packages], { env });
}

/** Lists the packages that images are made with where no registry answers, and that are absent here. */
export function missingImageTools() {
  const missing = [];
  if (findCommand('debootstrap') === undefined) missing.push('debootstrap');
  const busybox = findCommand('busybox');
  if (busybox === undefined || !isStatic(busybox)) missing.push('busybox-static');
  return missing;
}

// A dynamic executable names its loader in its first page; only a static one runs in an image that has nothing else.
function isStatic(file) {
  const head = Buffer.alloc(4096);
  const descriptor = openSync(file, 'r');
  try {
    readSync(descriptor, head, 0, head.length, 0);
  } finally {
    closeSync(descriptor);
  }
  return !/\/ld-(linux|musl)/.test(head.toString('latin1'));
}

function isExecutable(path) {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
