import * as fs from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { createContentStore } from '../src/index.ts';
import { type Bundled, type MergeBed, git, openMergeBed } from './merge-bed.ts';
import { bound, git as hostGit } from './open-store.ts';

type At = (file: string) => string;

let bed: MergeBed;
let victim: string;
let evil: string;
let count = 0;

beforeAll(async () => {
  bed = await openMergeBed();
});
afterAll(async () => bed.close());
beforeEach(() => {
  count += 1;
  victim = join(bed.scratch, `victim-${count}`);
  fs.writeFileSync(victim, 'of the host\n');
  evil = join(bed.scratch, `evil-${count}`);
  fs.writeFileSync(evil, `#!/bin/sh\necho ran >>${victim}\ncat\n`, { mode: 0o755 });
  bound.length = 0;
});

/** A whole repository as a command can write it: what git obeys runs a program, and a log leads out of the directory. */
function plant(workTree: string, repository = join(workTree, '.git')): void {
  git(bed.scratch, 'clone', '-q', '--no-local', '--bare', `file://${source('.')}`, repository);
  const hooks = join(repository, 'evil-hooks');
  fs.mkdirSync(hooks);
  for (const name of ['post-checkout', 'reference-transaction', 'post-index-change', 'post-merge'])
    fs.copyFileSync(evil, join(hooks, name));
  const run = `[core]\n\tfsmonitor = ${evil}\n\thooksPath = ${hooks}\n\tsshCommand = ${evil}\n\talternateRefsCommand = ${evil}\n`;
  const filter = `[filter "f"]\n\tclean = ${evil}\n\tsmudge = ${evil}\n[alias]\n\trev-parse = !${evil}\n\tx = !${evil}\n`;
  fs.writeFileSync(join(repository, 'more'), `${run}${filter}[uploadpack]\n\tpackObjectsHook = ${evil}\n`);
  const core = `[core]\n\trepositoryformatversion = 0\n\tbare = false\n\tlogAllRefUpdates = always\n[include]\n\tpath = more\n`;
  fs.writeFileSync(join(repository, 'config'), core);
  fs.mkdirSync(join(repository, 'info'), { recursive: true });
  fs.writeFileSync(join(repository, 'info/attributes'), '* filter=f\n');
  git(workTree, '--git-dir', repository, '--work-tree', workTree, 'read-tree', 'HEAD');
  fs.mkdirSync(join(repository, 'logs/refs/heads'), { recursive: true });
  for (const name of ['HEAD', 'refs/heads/work', 'refs/heads/main'])
    fs.symlinkSync(victim, join(repository, 'logs', name));
}

let source: At;
let work: Bundled;
beforeAll(async () => {
  source = bed.repository('source', () => undefined);
  work = await bed.bundled('work', source, (inside) => fs.writeFileSync(inside('src/a'), 'two\n'));
});

async function merge(repository: string, more: { readonly branch?: string; readonly into?: boolean } = {}) {
  const operationId = bed.newId();
  await work.receive(operationId);
  const { base } = work;
  const request = { repository, base, branch: 'work', into: false, accept: [], message: 'Merge it', dryRun: false };
  try {
    return await bed.work.merge({ ...request, ...more, operationId });
  } finally {
    await bed.work.forget(operationId);
  }
}

async function seed(repository: string, dirty: 'carry' | 'leave' = 'carry') {
  const volumes = { remove: () => Promise.resolve() } as never;
  const store = createContentStore({ directory: bed.store, volumes, git: hostGit, environment: process.env, logger });
  const owner = { uid: 1000, gid: 1000 };
  return store.seed({ source: { kind: 'git', repository, ref: null, commit: work.base, dirty }, owner });
}
const logger = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };

const doings: Readonly<Record<string, (directory: string) => Promise<unknown>>> = {
  'merged into': async (directory) => merge(directory),
  'merged into its branch': async (directory) => merge(directory, { branch: 'main', into: true }),
  'asked for a branch': async (directory) => bed.work.branchTip(directory, 'main'),
  'seeded from': async (directory) => seed(directory),
  'seeded from without changes': async (directory) => seed(directory, 'leave'),
  'looked at': async (directory) => hostGit.inspect(directory),
  'asked where it stands': async (directory) => hostGit.resolve(directory),
  'asked for its branches': async (directory) => hostGit.listBranches(directory),
  'given a branch': async (directory) => hostGit.createBranch(directory, 'another'),
};

/** What a sandbox that has the directory makes in it, and the directory that is named afterwards. */
const plantings: Readonly<Record<string, (project: string) => string>> = {
  'a repository below the top': (project) => {
    fs.mkdirSync(join(project, 'x'));
    plant(join(project, 'x'));
    return join(project, 'x');
  },
  'a repository above what is named': (project) => {
    fs.mkdirSync(join(project, 'x/deep/er'), { recursive: true });
    plant(join(project, 'x'));
    return join(project, 'x/deep/er');
  },
  'a file that leads to a repository beside it': (project) => {
    fs.mkdirSync(join(project, 'x'));
    plant(join(project, 'x'), join(project, 'kept'));
    fs.writeFileSync(join(project, 'x/.git'), 'gitdir: ../kept\n');
    return join(project, 'x');
  },
  'a link that leads to a repository beside it': (project) => {
    fs.mkdirSync(join(project, 'x'));
    plant(join(project, 'x'), join(project, 'kept'));
    fs.symlinkSync('../kept', join(project, 'x/.git'));
    return join(project, 'x');
  },
  'a file that makes a work tree of a repository of the user': (project) => {
    fs.mkdirSync(join(project, 'x'));
    fs.writeFileSync(join(project, 'x/.git'), `gitdir: ${source('.git')}\n`);
    return join(project, 'x');
  },
  'a directory that is a repository itself': (project) => {
    fs.mkdirSync(join(project, 'x'));
    plant(join(project, 'x'), join(project, 'x/bare'));
    fs.appendFileSync(join(project, 'x/bare/config'), '[core]\n\tbare = true\n');
    return join(project, 'x/bare');
  },
  'the top itself, beside its empty .git': (project) => {
    fs.mkdirSync(join(project, '.git'));
    const made = join(project, 'made');
    plant(project, made);
    for (const name of fs.readdirSync(made)) fs.renameSync(join(made, name), join(project, name));
    fs.mkdirSync(join(project, 'src'));
    return join(project, 'src');
  },
};

test.each(Object.keys(plantings).flatMap((what) => Object.keys(doings).map((doing) => [what, doing] as const)))(
  'of %s nothing is obeyed where it is %s',
  async (what, doing) => {
    const project = join(bed.scratch, `project-${count}`);
    fs.mkdirSync(project);
    bound.push(project);
    const named = plantings[what]?.(project) ?? '';
    const denied = { code: 'OCT_POLICY_DENIED', details: { directory: project }, remedy: expect.any(String) as string };
    const before = git(source('.'), 'for-each-ref');
    await expect(doings[doing]?.(named)).rejects.toMatchObject(denied);
    expect(fs.readFileSync(victim, 'utf8')).toBe('of the host\n');
    expect(git(source('.'), 'for-each-ref')).toBe(before);
  },
);

test('a linked work tree whose .git a sandbox exchanged does not go along', async () => {
  const at = bed.repository(`linked-${count}`, () => undefined);
  const project = join(bed.scratch, `project-${count}`);
  fs.mkdirSync(project);
  bound.push(project);
  const tree = join(project, 'tree');
  const linked = await bed.bundled(`linked-${count}`, at, (inside) => fs.writeFileSync(inside('src/a'), 'three\n'));
  git(at('.'), 'worktree', 'add', '-q', '-b', 'other', tree);
  const mergeIt = async () => {
    const operationId = bed.newId();
    await linked.receive(operationId);
    const request = { repository: at('.'), base: linked.base, branch: 'other', into: true, accept: [], message: 'M' };
    return bed.work.merge({ ...request, operationId, dryRun: false });
  };
  const kept = fs.readFileSync(join(tree, '.git'));
  fs.rmSync(join(tree, '.git'));
  plant(tree, join(project, 'kept'));
  fs.writeFileSync(join(tree, '.git'), 'gitdir: ../kept\n');
  await expect(mergeIt()).rejects.toMatchObject({ code: 'OCT_POLICY_DENIED' });
  expect(git(at('.'), 'rev-parse', 'other').trim()).toBe(linked.base);
  fs.writeFileSync(join(tree, '.git'), `gitdir: ${source('.git')}\n`);
  await expect(mergeIt()).rejects.toMatchObject({ code: 'OCT_POLICY_DENIED' });
  expect(fs.readFileSync(victim, 'utf8')).toBe('of the host\n');
  fs.writeFileSync(join(tree, '.git'), kept);
  expect(await mergeIt()).toMatchObject({ merged: true, workTree: tree });
  expect(fs.readFileSync(join(tree, 'src/a'), 'utf8')).toBe('three\n');
});

test('a repository at the top of such a directory, above it and outside of it is taken as before', async () => {
  const at = bed.repository(`mine-${count}`, () => undefined);
  const top = at('.').replace(/\/\.$/, '');
  bound.push(top, join(top, 'src'));
  for (const directory of [top, join(top, 'src')])
    expect(await hostGit.resolve(directory)).toMatchObject({ topDirectory: top, bare: false });
  await hostGit.createBranch(join(top, 'src'), 'made');
  expect(await hostGit.listBranches(top)).toEqual(['made', 'main']);
  const bare = join(bed.scratch, `bare-${count}`);
  git(bed.scratch, 'clone', '-q', '--bare', top, bare);
  expect(await hostGit.resolve(join(bare, 'refs'))).toMatchObject({ topDirectory: bare, bare: true });
});
