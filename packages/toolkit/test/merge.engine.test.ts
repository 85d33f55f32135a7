import { execFileSync } from 'node:child_process';
import { mkdir, mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import type { OpenHome, TaskId } from '@opencode-tools/core';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { until } from '@opencode-tools/testkit';
import { callBy } from './support/home-without-engine.ts';
import { type TestHome, createTestHome } from './support/test-home.ts';

const ada = callBy('ada');
let home: TestHome;
let open: OpenHome;
let image: string;
let directory: string;
beforeAll(async () => {
  home = await createTestHome();
  image = await home.engine.gnuImage();
  open = await home.open();
  directory = await mkdtemp(path.join(os.tmpdir(), 'oct-merge-'));
});
afterAll(async () => {
  await open.close();
  await home.remove();
  await rm(directory, { recursive: true, force: true });
});

interface Repository {
  readonly at: (file: string) => string;
  readonly git: (...args: readonly string[]) => string;
}

/** A repository whose every hook, and whose filter, would leave a file behind. */
async function repositoryNamed(name: string): Promise<Repository> {
  const at = (file: string): string => path.join(directory, name, file);
  await mkdir(at('.'), { recursive: true });
  const git = (...args: readonly string[]): string =>
    execFileSync(
      'git',
      ['user.name=t', 'user.email=t@example.org', 'core.hooksPath=/dev/null', 'filter.evil.smudge=']
        .flatMap((one) => ['-c', one])
        .concat(args),
      {
        cwd: at('.'),
        stdio: 'pipe',
      },
    )
      .toString()
      .trim();
  git('init', '-q', '-b', 'main');
  await writeFile(at('a'), 'one\ntwo\nthree\nfour\nfive\n');
  await writeFile(at('b'), 'b\n');
  git('add', '.');
  git('commit', '-q', '-m', 'base');
  const planted = path.join(directory, `${name}-planted`);
  for (const hook of [
    'post-checkout',
    'post-merge',
    'post-index-change',
    'reference-transaction',
    'pre-auto-gc',
    'post-update',
  ])
    await writeFile(at(`.git/hooks/${hook}`), `#!/bin/sh\necho ${hook} >>${planted}\n`, { mode: 0o755 });
  git('config', 'filter.evil.smudge', `echo filter >>${planted}; cat`);
  await writeFile(at('.git/info/attributes'), '* filter=evil\n');
  return { at, git };
}

async function taskFrom(repository: string): Promise<TaskId> {
  const source = { kind: 'git', path: repository } as const;
  return (await open.services.tasks.create({ title: 'merge it', image, workspace: source }, ada)).id;
}

async function inTask(id: TaskId, script: string): Promise<string> {
  const run = await open.services.executions.run(id, { command: { kind: 'script', script } }, ada);
  expect(run.stderr.text).toBe('');
  return run.stdout.text.trim();
}

const asAgent = 'git -c user.name=agent -c user.email=agent@example.org';

it('commits of a task, and what it did not commit, come to a branch of their own that goes forward', async () => {
  const { at, git } = await repositoryNamed('branch');
  const id = await taskFrom(at('.'));
  const branch = `opencode-tools/${id.slice(-8)}`;
  await inTask(
    id,
    `echo 1 >>b; ${asAgent} commit -qam first; echo new >c; rm a; echo x >ignored; echo ignored >.gitignore`,
  );
  const before = await inTask(id, 'git status --porcelain; git rev-parse HEAD; git for-each-ref refs/heads');
  const merged = await open.services.work.merge(id, {}, ada);
  expect(merged).toMatchObject({ merged: true, how: 'created', branch, commits: 2, workTree: null, conflicts: [] });
  expect(git('log', '--format=%an: %s', branch)).toBe(`ada: Work of task ${id.slice(-8)}\nagent: first\nt: base`);
  expect(git('ls-tree', '-r', '--name-only', branch)).toBe('.gitignore\nb\nc');
  expect(git('show', `${branch}:b`)).toBe('b\n1');
  expect(await inTask(id, 'git status --porcelain; git rev-parse HEAD; git for-each-ref refs/heads')).toBe(before);
  expect(git('status', '--porcelain')).toBe('');
  expect(git('rev-parse', '--abbrev-ref', 'HEAD')).toBe('main');

  const again = { merged: true, branch };
  expect(await open.services.work.merge(id, {}, ada)).toMatchObject({ ...again, how: 'present', commits: 0 });
  await inTask(id, 'echo more >>c');
  expect(await open.services.work.merge(id, {}, ada)).toMatchObject({ ...again, how: 'forwarded', commits: 1 });
  await inTask(id, `git add -A; ${asAgent} commit -qm second; echo 2 >>b; ${asAgent} commit -qam third`);
  expect(await open.services.work.merge(id, {}, ada)).toMatchObject({ ...again, how: 'forwarded', commits: 3 });
  expect(git('show', `${branch}:c`)).toBe('new\nmore');
  expect(git('rev-parse', `${branch}^{tree}`)).toBe(await inTask(id, 'git rev-parse HEAD^{tree}'));
  git('branch', '-qD', branch);
  expect(await open.services.work.merge(id, { dryRun: true }, ada)).toMatchObject({ merged: false, how: 'created' });
  expect(git('branch', '--list', branch)).toBe('');
  expect(await open.services.work.merge(id, {}, ada)).toMatchObject({ ...again, how: 'created', commits: 3 });
  expect(git('rev-parse', branch)).toBe(await inTask(id, 'git rev-parse HEAD'));
  git('update-ref', `refs/heads/${branch}`, git('commit-tree', `${branch}^{tree}`, '-p', branch, '-m', 'of the user'));
  await inTask(id, 'echo 3 >>b');
  expect(await open.services.work.merge(id, {}, ada)).toMatchObject({
    merged: false,
    conflicts: [{ path: `refs/heads/${branch}` }],
  });
  git('fsck', '--strict');
  expect(await readdir(directory)).not.toContain('branch-planted');
  expect(await readdir(path.join(home.directory, 'content', 'works'))).toEqual([]);
  const types = ['work.requested', 'work.completed', 'work.refused'];
  const records = await open.services.ledger.history(id, { types, newestFirst: false });
  expect(records.filter(({ type }) => type === 'work.completed')).toHaveLength(5);
});

it('work comes into a branch that has gone on, with its work tree, unless uncommitted changes are in the way', async () => {
  const { at, git } = await repositoryNamed('into');
  const id = await taskFrom(at('.'));
  await inTask(id, `echo new >c; mkdir d; echo x >d/e; sed -i s/five/theirs/ a`);
  await writeFile(at('a'), 'mine\ntwo\nthree\nfour\nfive\n');
  git('commit', '-qam', 'gone on');
  const main = git('rev-parse', 'main');
  await writeFile(at('b'), 'not committed\n');

  await writeFile(at('c'), 'mine, unknown to git\n');
  const untracked = await open.services.work.merge(id, { into: 'main' }, ada);
  expect(untracked).toMatchObject({ merged: false, how: 'merged', workTree: at('.'), conflicts: [{ path: 'c' }] });
  await rm(at('c'));
  await writeFile(at('a'), 'mine\ntwo\nthree\nfour\nfive\nnot committed\n');
  const dirty = await open.services.work.merge(id, { into: 'main' }, ada);
  expect(dirty).toMatchObject({ merged: false, conflicts: [{ path: at('.') }] });
  expect(dirty.conflicts[0]?.reason).toContain("'a' not uptodate");
  expect(git('rev-parse', 'main')).toBe(main);
  git('checkout', '-q', 'a');

  expect(await open.services.work.merge(id, { into: 'main' }, ada)).toMatchObject({ merged: true, how: 'merged' });
  expect(git('log', '-1', '--format=%s|%p', 'main')).toMatch(/^Merge task \w+: merge it\|\w+ \w+$/);
  expect(await readFile(at('a'), 'utf8')).toBe('mine\ntwo\nthree\nfour\ntheirs\n');
  expect(await readFile(at('d/e'), 'utf8')).toBe('x\n');
  expect(await readFile(at('b'), 'utf8')).toBe('not committed\n');
  expect(await readdir(directory)).not.toContain('into-planted');
  expect(git('-c', 'filter.evil.smudge=', 'status', '--porcelain')).toBe('M b');

  // Another second, so that a commit made anew would be another one.
  await new Promise((resolve) => setTimeout(resolve, 1_100));
  const merge = git('rev-parse', 'main');
  expect(await open.services.work.merge(id, { into: 'main' }, ada)).toMatchObject({ how: 'present', commits: 0 });
  expect(git('rev-parse', 'main')).toBe(merge);
  await inTask(id, 'echo more >>c');
  expect(await open.services.work.merge(id, { into: 'main' }, ada)).toMatchObject({ how: 'merged', commits: 1 });
  expect(await readFile(at('c'), 'utf8')).toBe('new\nmore\n');

  // What went to the task's own branch meanwhile is another matter.
  await inTask(id, 'echo other >c');
  expect(await open.services.work.merge(id, {}, ada)).toMatchObject({ merged: true, how: 'created' });
  await inTask(id, 'echo last >c');
  expect(await open.services.work.merge(id, { into: 'main' }, ada)).toMatchObject({ merged: true, how: 'merged' });
  expect(await readFile(at('c'), 'utf8')).toBe('last\n');
});

it('what runs on the host waits for a word, and what cannot be brought is named', async () => {
  const { at, git } = await repositoryNamed('refused');
  const id = await taskFrom(at('.'));
  await expect(open.services.work.merge(id, {}, ada)).rejects.toThrow('nothing that its source lacks');
  await inTask(id, 'echo all: >Makefile; ln -s /etc/passwd link; echo >run; chmod +x run');
  const refused = await open.services.work.merge(id, {}, ada);
  expect(refused).toMatchObject({ merged: false, conflicts: [] });
  expect(refused.refused.map(({ path: file, rule }) => `${file} ${rule}`)).toEqual([
    'Makefile build',
    'link link',
    'run mode',
  ]);
  expect(git('branch', '--list')).toBe('* main');
  const accept = ['Makefile', 'link', 'run'];
  expect(await open.services.work.merge(id, { accept, branch: 'work' }, ada)).toMatchObject({
    merged: true,
    branch: 'work',
  });
  await inTask(id, `mkdir nested; cd nested; git init -q --template=; ${asAgent} commit -q --allow-empty -m x`);
  await expect(open.services.work.merge(id, { accept }, ada)).rejects.toThrow('has repositories in it');
  await inTask(
    id,
    `rm -rf nested; ${asAgent} add -A; ${asAgent} commit -qm all; ${asAgent} checkout -q -b other HEAD~1; echo other >run; git add run; ${asAgent} commit -qm other; ${asAgent} merge -q main >/dev/null 2>&1 || true`,
  );
  await expect(open.services.work.merge(id, { accept }, ada)).rejects.toThrow('in the middle of a merge');
  await inTask(id, 'rm -rf .git');
  await expect(open.services.work.merge(id, { accept }, ada)).rejects.toThrow('no git repository any more');
  const plain = await open.services.tasks.create({ title: 'empty', image: home.image }, ada);
  await expect(open.services.work.merge(plain.id, {}, ada)).rejects.toThrow('did not begin with a git repository');
});

it('a task that is done gives its commits, and its sandbox is put away again', async () => {
  const { at, git } = await repositoryNamed('done');
  const id = await taskFrom(at('.'));
  await inTask(id, 'echo 1 >>b');
  await open.services.tasks.complete(id, {}, ada);
  const running = async (): Promise<string> =>
    (await home.docker('ps', '-q', '--filter', `label=io.opencode-tools.task=${id}`)).trim();
  expect(await running()).toBe('');
  expect(await open.services.work.merge(id, { branch: 'done' }, ada)).toMatchObject({ merged: true, commits: 1 });
  expect(git('show', 'done:b')).toBe('b\n1');
  expect(await running()).toBe('');
  expect(await open.services.tasks.get(id)).toMatchObject({ status: 'completed' });
});

it.each(['before it begins', 'after all is prepared'])(
  'a process whose task was taken over while it slept, %s, moves no branch when it wakes, and says why',
  async (moment) => {
    const { at, git } = await repositoryNamed(moment.replaceAll(' ', '-'));
    const id = await taskFrom(at('.'));
    await inTask(id, 'echo late > late');
    const { session } = await open.services.sessions.attach(id, { agent: 'ada' }, ada);
    const takeOver = () =>
      open.services.sessions.attach(id, { agent: 'next', takeover: true }, callBy('next')).then(() => undefined);
    const slow = await home.open({
      decorate: (ports) => ({
        ...ports,
        work: {
          ...ports.work,
          merge: async (work) => {
            if (moment === 'before it begins') await takeOver();
            const confirm = async (): Promise<void> => {
              if (moment !== 'before it begins') await takeOver();
              await work.confirm?.(null);
            };
            return ports.work.merge({ ...work, confirm });
          },
        },
      }),
    });
    const merging = slow.services.work.merge(id, { sessionId: session.id }, ada);
    await expect(merging).rejects.toMatchObject({ code: 'OCT_LEASE_LOST' });
    await slow.close();
    expect(git('branch', '--format=%(refname:short)')).toBe('main');
    await open.services.tasks.delete(id, { force: true }, ada);
  },
);

it('a filter of the task that does not end is ended with the call, and the next one works', async () => {
  const { at } = await repositoryNamed('filter');
  const id = await taskFrom(at('.'));
  await inTask(id, 'echo "* filter=x" >.gitattributes; git config filter.x.clean "sleep 1000"; echo q >q');
  const running =
    'for one in /proc/[0-9]*; do tr "\\0" " " <$one/cmdline; echo; done 2>/dev/null | grep -c "^sleep 1000" || :';
  const ended = new AbortController();
  const { session } = await open.services.sessions.attach(id, { agent: 'ada' }, ada);
  const sessionId = session.id;
  const count = async (): Promise<string> => {
    const run = await open.services.executions.run(
      id,
      { command: { kind: 'script', script: running }, sessionId },
      ada,
    );
    return run.stdout.text.trim();
  };
  const merging = open.services.work
    .merge(id, { sessionId }, { ...ada, signal: ended.signal })
    .catch((error: unknown) => error);
  await until(async () => (await count()) === '1');
  ended.abort();
  expect(await merging).toMatchObject({
    code: 'OCT_CANCELLED',
    message: 'Bundling the commits of the task was cancelled at git add --all',
  });
  expect(await count()).toBe('0');
  const script = 'git config filter.x.clean cat; ls .git';
  const fixed = await open.services.executions.run(id, { command: { kind: 'script', script }, sessionId }, ada);
  expect(fixed.execution.exitCode).toBe(0);
  const accept = ['.gitattributes'];
  expect(await open.services.work.merge(id, { sessionId, accept }, ada)).toMatchObject({ merged: true });
  await open.services.sessions.detach(sessionId, {}, ada);
});
