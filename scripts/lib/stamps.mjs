import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { root } from './process.mjs';

const skipped = new Set(['node_modules', 'dist', 'coverage', '.turbo', 'test']);

/** Tells whether the step of this name was last done for this digest. */
export function isDone(name, digest) {
  const file = stampFile(name);
  return existsSync(file) && readFileSync(file, 'utf8') === digest;
}

/** Records that the step of this name is done for this digest. */
export function markDone(name, digest) {
  mkdirSync(dirname(stampFile(name)), { recursive: true });
  writeFileSync(stampFile(name), digest);
}

/** Digests what decides the content of node_modules. */
export function installDigest() {
  const manifests = workspaceFolders().map((folder) => join(folder, 'package.json'));
  const files = ['pnpm-lock.yaml', 'pnpm-workspace.yaml', 'package.json', ...manifests];
  return digestOf(files, [process.platform, process.arch, process.versions.node.split('.')[0]]);
}

/** Digests what decides the content of the built apps, which bundle the sources of all packages. */
export function appsDigest() {
  const files = ['tsup.base.ts', 'scripts/launcher.cjs', ...filesUnder('docker-images')];
  for (const folder of workspaceFolders()) files.push(...filesUnder(folder).filter((file) => !isTest(file)));
  return digestOf(files, [installDigest()]);
}

function isTest(file) {
  return /\.test\.ts$|\.md$/.test(file);
}

function workspaceFolders() {
  return ['packages', 'apps'].flatMap((parent) => readdirSync(join(root, parent)).map((name) => join(parent, name)));
}

function filesUnder(folder) {
  const absolute = join(root, folder);
  if (!existsSync(absolute)) return [];
  return readdirSync(absolute, { withFileTypes: true }).flatMap((entry) => {
    const path = join(absolute, entry.name);
    if (entry.isDirectory()) return skipped.has(entry.name) ? [] : filesUnder(relative(root, path));
    return entry.isFile() ? [relative(root, path)] : [];
  });
}

function digestOf(files, facts) {
  const hash = createHash('sha256').update(JSON.stringify(facts));
  for (const file of [...files].sort()) {
    const path = join(root, file);
    if (existsSync(path)) hash.update(`\0${file}\0`).update(readFileSync(path));
  }
  return hash.digest('hex');
}

function stampFile(name) {
  return join(root, 'node_modules', '.opencode-tools', name);
}
