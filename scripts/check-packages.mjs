/*
 * Packs every published package as it would go to the registry and checks the tarballs: publint, types (attw), and that
 * the files a user needs are inside. Needs built packages and runs under pnpm (`pnpm check:packages`).
 */
import { execFile } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { root } from './lib/process.mjs';

const exec = promisify(execFile);
const alwaysInside = ['package.json', 'README.md', 'LICENSE'];
const dockerfiles = readdirIfAny('docker-images').map((image) => `dist/images/${image}/Dockerfile`);
const insideOf = {
  '@opencode-tools/docker-runtime': dockerfiles,
  'opencode-tools': ['dist/bin.cjs', 'dist/main.js', ...dockerfiles],
  'opencode-tools-mcp': ['dist/bin.cjs', 'dist/main.js', ...dockerfiles],
};

const directory = mkdtempSync(join(tmpdir(), 'opencode-tools-pack-'));
try {
  const packages = ['packages', 'apps'].flatMap(publishedIn);
  const problems = (await mapInPairs(packages, check)).flat();
  for (const problem of problems) process.stderr.write(`${problem}\n`);
  process.stderr.write(`${packages.length} packages checked, ${problems.length} problems.\n`);
  process.exitCode = packages.length > 0 && problems.length === 0 ? 0 : 1;
} finally {
  rmSync(directory, { recursive: true, force: true });
}

function publishedIn(parent) {
  return readdirIfAny(parent)
    .map((name) => ({ folder: join(root, parent, name), manifest: readManifest(join(root, parent, name)) }))
    .filter(({ manifest }) => manifest.private !== true);
}

async function check({ folder, manifest }) {
  const packed = await exec('pnpm', ['pack', '--json', '--pack-destination', directory], { cwd: folder });
  const { filename, files } = JSON.parse(packed.stdout);
  const tarball = join(directory, filename.split(/[\\/]/).at(-1));
  const inside = new Set(files.map(({ path }) => path));
  const required = [...alwaysInside, ...(insideOf[manifest.name] ?? [])];
  const missing = required.filter((path) => !inside.has(path));
  const problems = missing.map((path) => `${manifest.name}: ${path} is not in the tarball`);
  problems.push(...(await complaints(manifest.name, 'publint', ['run', tarball, '--strict'])));
  if (manifest.exports) problems.push(...(await complaints(manifest.name, 'attw', [tarball, '--profile', 'esm-only'])));
  return problems;
}

async function complaints(name, command, args) {
  try {
    await exec('pnpm', ['exec', command, ...args], { cwd: root });
    return [];
  } catch (error) {
    return [`${name}: ${command}\n${error.stdout}${error.stderr}`];
  }
}

async function mapInPairs(items, map) {
  const results = [];
  for (let index = 0; index < items.length; index += 2) {
    results.push(...(await Promise.all(items.slice(index, index + 2).map(map))));
  }
  return results;
}

function readManifest(folder) {
  return JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
}

function readdirIfAny(name) {
  try {
    return readdirSync(join(root, name), { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map((entry) => entry.name);
  } catch {
    return [];
  }
}
