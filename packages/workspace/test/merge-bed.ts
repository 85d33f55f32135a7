import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import { join } from 'node:path';
import { type OperationId, type WorkPort, createIds, silentLogger, systemClock } from '@opencode-tools/core';
import { describeTree } from '@opencode-tools/testkit';
import { createWork } from '../src/index.ts';
import { git as hostGit, openStore } from './open-store.ts';

type At = (file: string) => string;

/** Repositories of a user, what tasks did with a clone of them, and the work port that brings it back. */
export interface MergeBed {
  readonly scratch: string;
  /** Directory of the content store. */
  readonly store: string;
  readonly work: WorkPort;
  newId(): OperationId;
  /** A repository with a few files, changed as told. */
  repository(name: string, prepare: (at: At) => void): At;
  /** What a task that was seeded from the repository hands over after a change that it commits. */
  bundled(name: string, at: At, change: (inside: At) => void): Promise<Bundled>;
  close(): Promise<void>;
}

export interface Bundled {
  readonly base: string;
  readonly inside: At;
  /** Hands the bundle over once more, for another operation. */
  receive(id: OperationId): Promise<void>;
}

export async function openMergeBed(): Promise<MergeBed> {
  const { directory, scratch, close } = await openStore();
  const work = createWork({ environment: process.env, directory, git: hostGit, logger: silentLogger });
  const ids = createIds(systemClock);
  return {
    scratch,
    store: directory,
    work,
    newId: () => ids.next('operation'),
    repository: (name, prepare) => {
      const at = (file: string): string => join(scratch, name, 'repo', file);
      for (const folder of ['src', 'gone/deep']) fs.mkdirSync(at(folder), { recursive: true });
      fs.writeFileSync(at('src/a'), 'one\ntwo\nthree\nfour\nfive\n');
      fs.writeFileSync(at('gone/deep/b'), 'b\n');
      fs.writeFileSync(at('keep'), 'keep\n');
      fs.writeFileSync(at('mine'), 'mine\n');
      fs.writeFileSync(at('.gitignore'), 'ignored\n');
      git(at('.'), 'init', '-q', '-b', 'main');
      git(at('.'), 'add', '.');
      git(at('.'), 'commit', '-q', '-m', 'base');
      prepare(at);
      return at;
    },
    bundled: async (name, at, change) => {
      const inside = (file: string): string => join(scratch, `${name}-inside`, file);
      const base = git(at('.'), 'rev-parse', 'main').trim();
      git(scratch, 'clone', '-q', '--no-local', '--branch', 'main', `file://${at('.')}`, inside('.'));
      change(inside);
      git(inside('.'), 'add', '-A');
      git(inside('.'), 'commit', '-q', '--allow-empty', '-m', 'of the task');
      git(inside('.'), 'update-ref', 'refs/opencode-tools/out', 'HEAD');
      const file = join(scratch, `${name}.bundle`);
      git(inside('.'), 'bundle', 'create', '-q', file, 'refs/opencode-tools/out', `^${base}`);
      const receive = async (id: OperationId): Promise<void> => {
        const sink = await work.receive(id);
        await sink.write(fs.readFileSync(file));
        await sink.close();
      };
      return { base, inside, receive };
    },
    close,
  };
}

export function git(cwd: string, ...args: readonly string[]): string {
  const env = { PATH: process.env['PATH'], GIT_CONFIG_GLOBAL: '/dev/null', GIT_CONFIG_NOSYSTEM: '1' };
  const settings = ['user.name=t', 'user.email=t@example.org', 'protocol.file.allow=always', 'core.safecrlf=false'];
  const quiet = ['core.hooksPath=/dev/null', 'core.fsmonitor=false', 'filter.evil.smudge=', 'filter.evil.clean='];
  const options = [...settings, ...quiet].flatMap((each) => ['-c', each]);
  return execFileSync('git', [...options, ...args], { cwd, env, stdio: 'pipe' }).toString();
}

/** Kinds, names, modes and contents; `.git` and the top left out, owners and times too. */
const filesOf = (directory: string): readonly string[] =>
  describeTree(directory)
    .filter((line) => !/^[a-z]+ "(\.git[/"]|")/.test(line))
    .map((line) => line.replace(/ \d+:\d+ \d+/, ''));

/** Everything of a work tree that a user would notice. */
export const stateOf = (directory: string) => ({
  files: filesOf(directory),
  tree: git(directory, 'ls-tree', '-r', '-z', 'main'),
  status: git(directory, 'status', '--porcelain', '-z', '--untracked-files=all'),
});
