import { mkdir, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { OpencodeToolsError } from '@opencode-tools/core';
import type { Environment } from './extract-tar.ts';
import { type GitRunner, partialCloneRemedy } from './git-runner.ts';
import type { GitSeed } from './seed-git.ts';

const longMs = 30 * 60_000;
const seedPlace = 'refs/opencode-tools';
/** Nothing of it outlasts a crash, so nothing has to reach the disk. */
const temporary = ['core.fsync=none'];

/** A new repository, and what lets a git command in it read the objects of the one that it is made from. */
export interface BegunRepository {
  readonly directory: string;
  readonly environment: Environment;
}

/**
 * Makes an empty repository. No template, hook or configuration comes along; what git would look for on this machine, such as
 * whether its file system tells small letters from capitals, is not true of the volume that the repository goes to.
 */
export async function beginRepository(
  { found, commit, branch, remote }: GitSeed,
  directory: string,
): Promise<BegunRepository> {
  const own = join(directory, '.git');
  for (const place of ['objects/info', 'objects/pack', 'refs/heads', 'refs/tags'])
    await mkdir(join(own, place), { recursive: true, mode: 0o755 });
  await writeFile(join(own, 'config'), configurationOf(commit.length === 64, remote));
  await writeFile(join(own, 'HEAD'), `ref: refs/heads/${branch ?? 'main'}\n`);
  // A name may have a colon, or begin with what quotes it.
  const quoted = JSON.stringify(join(found.commonDirectory, 'objects'));
  return { directory, environment: { GIT_ALTERNATE_OBJECT_DIRECTORIES: quoted } };
}

function configurationOf(isSha256: boolean, remote: string | undefined): string {
  const core = `\trepositoryformatversion = ${isSha256 ? 1 : 0}\n\tfilemode = true\n\tbare = false\n\tlogallrefupdates = true\n`;
  const extensions = isSha256 ? '[extensions]\n\tobjectformat = sha256\n' : '';
  const url = remote?.replaceAll(/["\\]/g, '\\$&').replaceAll('\n', '\\n');
  const fetch = '+refs/heads/*:refs/remotes/origin/*';
  const origin = url === undefined ? '' : `[remote "origin"]\n\turl = "${url}"\n\tfetch = ${fetch}\n`;
  return `[core]\n${core}${extensions}${origin}`;
}

/** Gives it the history of the commit, the branch (none when detached), and the tags on it. */
export async function fillRepository(
  runner: GitRunner,
  seed: GitSeed,
  begun: BegunRepository,
  signal?: AbortSignal,
): Promise<void> {
  const { directory } = begun;
  const { commit, branch } = seed;
  const tags = await packedTags(runner, seed, begun, signal);
  if (tags === undefined) await fetchSeed(runner, seed, directory, signal);
  const own = join(directory, '.git');
  const lines = (tags ?? []).map(({ name, object }) => `${object} ${name}\n`);
  if (lines.length > 0) await writeFile(join(own, 'packed-refs'), lines.join(''), 'latin1');
  const place = branch === null ? 'HEAD' : `refs/heads/${branch}`;
  await mkdir(dirname(join(own, place)), { recursive: true, mode: 0o755 });
  await writeFile(join(own, place), `${commit}\n`);
}

interface Tag {
  readonly name: string;
  readonly object: string;
}

/**
 * Packs what the commit and the tags on it need straight from the objects of the source.
 *
 * @returns the tags; undefined where it takes a fetch, which also says what is wrong with a source
 */
async function packedTags(
  runner: GitRunner,
  seed: GitSeed,
  { directory, environment }: BegunRepository,
  signal: AbortSignal | undefined,
): Promise<readonly Tag[] | undefined> {
  const tags = seed.shallow ? undefined : await tagsOn(seed, signal);
  if (tags === undefined) return undefined;
  const roots = [seed.commit, ...tags.map(({ object }) => object)];
  const input = Buffer.from(`${roots.join('\n')}\n`, 'latin1');
  const config = [...temporary, 'pack.compression=1'];
  const args = ['pack-objects', '--quiet', '--revs', '--delta-base-offset', '--window=0', '.git/objects/pack/pack'];
  const call = { cwd: directory, environment, config, input, timeoutMs: longMs, signal };
  return (await runner.try(args, call)).code === 0 ? tags : undefined;
}

/** The tags that a fetch would follow; undefined where one is on something else than a commit, which only that can tell. */
async function tagsOn(
  { found: { runner, place }, commit, hasTags }: GitSeed,
  signal: AbortSignal | undefined,
): Promise<readonly Tag[] | undefined> {
  if (!hasTags) return [];
  const list = (...more: readonly string[]) =>
    runner.try(['for-each-ref', ...more, 'refs/tags'], { cwd: place, signal });
  const [all, merged] = await Promise.all([
    list('--format=%(objecttype) %(*objecttype)'),
    list(`--merged=${commit}`, '--format=%(objectname) %(refname)'),
  ]);
  if (all.code !== 0 || merged.code !== 0 || !linesOf(all.stdout).every((line) => tagOfCommit.test(line)))
    return undefined;
  return linesOf(merged.stdout).map((line) => {
    const space = line.indexOf(' ');
    return { object: line.slice(0, space), name: line.slice(space + 1) };
  });
}

const tagOfCommit = /^(commit |tag commit)$/;

function linesOf(out: Buffer): readonly string[] {
  return out
    .toString('latin1')
    .split('\n')
    .filter((line) => line !== '');
}

async function fetchSeed(
  runner: GitRunner,
  { found, topDirectory, commit }: GitSeed,
  directory: string,
  signal: AbortSignal | undefined,
): Promise<void> {
  const args = [
    'fetch',
    '--quiet',
    '--no-write-fetch-head',
    '--update-shallow',
    // Where nothing is looked for.
    found.gitDirectory,
    `${commit}:${seedPlace}/seed`,
  ];
  const config = [...temporary, 'fetch.unpackLimit=1'];
  try {
    await runner.run(args, { cwd: directory, config, timeoutMs: longMs, signal });
  } catch (error) {
    throw String(error).includes('promisor remote') ? lacking(topDirectory, error) : error;
  }
  await rm(join(directory, '.git', seedPlace), { recursive: true });
}

/** Git calls the remote a promisor that has the objects which a partial clone left out. */
function lacking(directory: string, cause: unknown): OpencodeToolsError {
  return new OpencodeToolsError(
    'OCT_INVALID_ARGUMENT',
    `The repository at ${directory} is a partial clone, and lacks objects of the commit or its history`,
    {
      remedy: partialCloneRemedy,
      details: { directory },
      cause,
    },
  );
}
