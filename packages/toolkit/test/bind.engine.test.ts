import { execFileSync } from 'node:child_process';
import {
  chownSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  realpathSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { OpenHome, TaskId } from '@opencode-tools/core';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type TestHome, createTestHome, tester as call } from './support/test-home.ts';

const image = 'opencode-sandbox-base';
const isRoot = process.getuid?.() === 0;
const owner = isRoot ? { uid: 4_321, gid: 5_432 } : { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 };

describe('a directory of the host as a workspace', () => {
  let home: TestHome;
  let open: OpenHome;
  let base: string;
  let count = 0;
  let project: string;
  const ran = (): string => join(base, 'ran');

  beforeAll(async () => {
    home = await createTestHome();
    open = await home.open();
    await open.images.build(image);
    base = realpathSync(mkdtempSync(join(tmpdir(), 'oct-bind-')));
  });
  afterAll(async () => {
    await open.close();
    await home.remove();
    rmSync(base, { recursive: true, force: true });
  });
  beforeEach(() => {
    project = join(base, `project-${(count += 1)}`);
    mkdirSync(project);
    rmSync(ran(), { force: true });
  });

  test('is never one that belongs to root', async () => {
    if (!isRoot) return;
    const creating = open.services.tasks.create(
      { title: 'x', image, workspace: { kind: 'bind', path: project } },
      call,
    );
    await expect(creating).rejects.toMatchObject({
      code: 'OCT_POLICY_DENIED',
      remedy: expect.stringContaining('chown') as string,
    });
  });

  test('is worked in as its owner, with a home directory that can be written', async () => {
    writeFileSync(join(project, 'file'), 'from the host\n');
    const task = await bind();
    const out = await sh(task, 'cat file; id -u; id -g; echo made >made; echo x >>file; echo y >~/mine; cat ~/mine');
    expect(out).toBe(`from the host\n${owner.uid}\n${owner.gid}\ny\n`);
    expect(readFileSync(join(project, 'file'), 'utf8')).toBe('from the host\nx\n');
    expect(statSync(join(project, 'made'))).toMatchObject(owner);
    await open.services.tasks.delete(task, {}, call);
    expect(readdirSync(project).sort()).toEqual(['.git', 'file', 'made']);
  });

  test('is one that the configuration lets tasks mount, also when the container is made', async () => {
    mkdirSync(join(base, 'elsewhere'), { recursive: true });
    writeFileSync(join(project, 'file'), 'from the host\n');
    const task = await bind();
    const environment = { ...process.env, OPENCODE_TOOLS_MOUNTS_ALLOW: join(base, 'elsewhere') };
    const strict = await home.open({ environment });
    const denied = { code: 'OCT_POLICY_DENIED', details: { path: project, key: 'mounts.allow' } };
    const workspace = { kind: 'bind', path: project } as const;
    await expect(strict.services.tasks.create({ title: 'x', image, workspace }, call)).rejects.toMatchObject(denied);
    const command = { kind: 'argv', argv: ['true'] } as const;
    await expect(strict.services.executions.run(task, { command }, call)).rejects.toMatchObject(denied);
    await strict.close();
    expect(await sh(task, 'cat file')).toBe('from the host\n');
    await open.services.tasks.delete(task, {}, call);
  });

  describe('cannot make git on the host run anything', () => {
    const steer = () =>
      `printf '[core]\\n\\tbare = false\\n\\tworktree = ${project}\\n\\tfsmonitor = "touch ${ran()}; false"\\n'`;
    const evil = () =>
      `mkdir -p /tmp/x && rm -rf /tmp/x/evil && git init -q /tmp/x/evil && git -C /tmp/x/evil -c user.name=a -c user.email=a@b commit -q --allow-empty -m x && git -C /tmp/x/evil config core.fsmonitor "touch ${ran()}; false"`;
    const attacks: readonly (readonly [string, () => string])[] = [
      ['by its configuration', () => `${steer()} >>.git/config; rm .git/config; ${steer()} >.git/config`],
      ['by a copy in its place', () => `mv .git .git2; cp -r .git2 .git; rm -rf .git; ${steer()} >>.git/config`],
      ['by a common directory', () => `cp -r .git evil; ${steer()} >>evil/config; echo ../evil >.git/commondir`],
      [
        'by hooks, filters and settings of a work tree',
        () =>
          `echo 'touch ${ran()}' >.git/hooks/post-index-change; echo x >.git/info/attributes; ${steer()} >.git/config.worktree`,
      ],
      [
        'by a broken repository around a bare one',
        () => `mkdir refs objects; cp .git/HEAD HEAD; rm -f .git/HEAD; ${steer()} >config`,
      ],
      [
        'by a submodule in the index',
        () =>
          `${evil()}; cp -r /tmp/x/evil nested; git update-index --add --cacheinfo 160000,$(git -C nested rev-parse HEAD),nested; cp .git/index /tmp/i; GIT_INDEX_FILE=/tmp/i git update-index --add --cacheinfo 160000,$(git -C nested rev-parse HEAD),nested; cp /tmp/i .git/index; mv /tmp/i .git/index`,
      ],
      [
        'by the repository of a submodule',
        () =>
          `${evil()}; rm -f deep/sub/.git; mv deep/sub deep/gone; mv deep gone; rm -rf deep; mkdir -p deep/sub deep/empty; cp -r /tmp/x/evil/.git deep/sub/.git; cp -r /tmp/x/evil/.git deep/empty/.git; mv deep/empty deep/e`,
      ],
    ];

    test.each(attacks)('%s', async (_title, attack) => {
      repository();
      const before = readdirSync(join(project, '.git')).sort();
      const task = await bind();
      await sh(task, `{ ${attack()}; } 2>/dev/null; true`);
      await sh(task, `{ ${attack()}; } 2>/dev/null; true`);
      expect(readdirSync(join(project, '.git')).sort()).toEqual(before);
      hostGit('status');
      hostGit('commit', '--allow-empty', '-qm', 'on the host');
      hostGit('status');
      expect(existsSync(ran())).toBe(false);
      await open.services.tasks.delete(task, {}, call);
    });

    test('after the host changed its configuration', async () => {
      repository();
      const task = await bind();
      await sh(task, 'git status');
      hostGit('config', 'user.nickname', 'x');
      hostGit('checkout', '-qb', 'other');
      give(project);
      await sh(task, `{ ${steer()} >>.git/config; } 2>/dev/null; true`);
      hostGit('status');
      expect(existsSync(ran())).toBe(false);
      await open.services.tasks.delete(task, {}, call);
    });

    test('although it could, were the configuration its own', () => {
      repository();
      hostGit('config', 'core.fsmonitor', `touch ${ran()}; false`);
      hostGit('status');
      expect(existsSync(ran())).toBe(true);
    });

    test('where there was no repository', async () => {
      const task = await bind();
      await sh(
        task,
        `{ git init; mv .git .git2; rm -rf .git; mkdir .git; ${evil()}; cp -r /tmp/x/evil/.git .; } 2>/dev/null; true`,
      );
      expect(readdirSync(join(project, '.git'))).toEqual([]);
      expect(() => hostGit('status')).toThrow('not a git repository');
      expect(existsSync(ran())).toBe(false);
      await open.services.tasks.delete(task, {}, call);
    });
  });

  test('cannot reconfigure the agents and tools of the host', async () => {
    mkdirSync(join(project, '.opencode'));
    writeFileSync(join(project, '.opencode/opencode-tools.yaml'), 'defaultImage: a\n');
    const task = await bind();
    await sh(
      task,
      '{ echo "home: /x" >>.opencode/opencode-tools.yaml; mv .opencode o; touch .opencode/new; } 2>/dev/null; true',
    );
    expect(readdirSync(project).sort()).toEqual(['.git', '.opencode']);
    expect(readFileSync(join(project, '.opencode/opencode-tools.yaml'), 'utf8')).toBe('defaultImage: a\n');
    await open.services.tasks.delete(task, {}, call);
  });

  test('is read with git, and worked in with a repository of the sandbox whose commits the host fetches', async () => {
    repository();
    const task = await bind();
    expect(
      await sh(task, 'echo changed >file; git status --short; git diff --stat | tail -1; git log --oneline | wc -l'),
    ).toBe(' M file\n 1 file changed, 1 insertion(+), 1 deletion(-)\n1\n');
    await expect(sh(task, 'git commit -qam refused')).rejects.toThrow('Read-only file system');
    const work = `cp -r .git ~/repository && export GIT_DIR=~/repository GIT_WORK_TREE=$PWD
      git config user.name agent && git config user.email agent@example.com
      git checkout -qb work && git add file && git commit -qm "by the agent"
      echo stashed >file && git stash -q && cat file && git stash pop -q && cat file && git checkout -q file
      git branch side && git checkout -q side && git checkout -q work && git status --short
      git bundle create -q work.bundle main..work`;
    expect(await sh(task, work)).toBe('changed\nstashed\n');
    hostGit('fetch', '-q', 'work.bundle', 'work:work');
    expect(hostGit('log', '-1', '--format=%s', 'work')).toBe('by the agent\n');
    expect(lstatSync(join(project, '.git/config'))).toMatchObject(owner);
    await open.services.tasks.delete(task, {}, call);
  });

  test('is committed by a verb of ours, which runs nothing that the sandbox wrote', async () => {
    repository();
    const task = await bind();
    const attack =
      'printf "* filter=evil\\n" >.gitattributes; printf "[filter \\"evil\\"]\\n\\tclean = touch /x\\n" >.gitmodules';
    await sh(task, `echo changed >file; mkdir new; echo new >new/file; ${attack}`);
    const given = { message: 'By the verb', author: 'Ada <ada@example.org>' };
    const waiting = await open.services.work.commit(task, given, call);
    expect(waiting).toMatchObject({ committed: false, refused: [{ path: '.gitattributes' }, { path: '.gitmodules' }] });
    await sh(task, 'rm .gitattributes .gitmodules');
    const done = await open.services.work.commit(task, given, call);
    expect(done).toMatchObject({ committed: true, branch: 'main', commit: hostGit('rev-parse', 'main').trim() });
    expect(await sh(task, 'git status --short; git log -1 --format=%an:%s; git show main:new/file')).toBe(
      'Ada:By the verb\nnew\n',
    );
    expect(lstatSync(join(project, '.git/index'))).toMatchObject(owner);
    const [record] = await open.services.ledger.history(task, { limit: 1, types: ['work.completed'] });
    expect(JSON.parse(record?.payload ?? '{}')).toMatchObject({
      detail: { branch: 'main', commit: done.commit, total: 2 },
    });
    await open.services.tasks.delete(task, {}, call);
  });

  test('starts again after the host removed what guards it, or says what is missing', async () => {
    mkdirSync(join(project, '.opencode'));
    const task = await bind();
    await sh(task, 'echo made >made');
    await open.services.sandboxes.stop(task, {}, call);
    rmSync(join(project, '.git'), { recursive: true });
    expect(await sh(task, 'cat made')).toBe('made\n');
    await open.services.sandboxes.stop(task, {}, call);
    rmSync(join(project, '.opencode'), { recursive: true });
    const gone = { code: 'OCT_FILE_NOT_FOUND', details: { path: join(project, '.opencode') } };
    await expect(sh(task, 'cat made')).rejects.toMatchObject(gone);
    await open.services.sandboxes.destroy(task, {}, call);
    expect(await sh(task, 'cat made')).toBe('made\n');
    await open.services.tasks.delete(task, {}, call);
  });

  test('that was replaced on the host is worked in as it is now, by whoever comes next or comes back', async () => {
    const task = await bind();
    await sh(task, 'echo before >file');
    rmSync(project, { recursive: true });
    mkdirSync(project);
    writeFileSync(join(project, 'file'), 'after\n');
    give(project);
    const next = await home.open();
    const command = { kind: 'argv', argv: ['cat', 'file'] } as const;
    const { stdout, notices } = await next.services.executions.run(task, { command }, call);
    expect(stdout.text).toBe('after\n');
    expect(notices).toMatchObject([expect.stringContaining('replaced on the host')]);
    expect(await next.services.executions.run(task, { command }, call)).not.toHaveProperty('notices');
    await next.close();
    execFileSync('sh', ['-c', 'mv "$0" "$0-old" && cp -a "$0-old" "$0" && echo anew >"$0/file"', project]);
    await delay(5_100);
    expect(await sh(task, 'cat file')).toBe('anew\n');
    await open.services.sandboxes.pause(task, call);
    execFileSync('sh', ['-c', 'rm -r "$0" && mv "$0-old" "$0" && echo once more >"$0/file"', project]);
    expect(await sh(task, 'cat file')).toBe('once more\n');
    await open.services.tasks.delete(task, {}, call);
  });

  test('that the host removed comes back from a checkpoint, or goes with its task', async () => {
    const task = await bind();
    await sh(task, 'echo made >made');
    const { checkpoints, sandboxes, tasks } = open.services;
    const { id } = await checkpoints.create(task, {}, call);
    rmSync(project, { recursive: true });
    await checkpoints.create(task, {}, call);
    await sandboxes.stop(task, {}, call);
    await expect(sh(task, 'true')).rejects.toMatchObject({ code: 'OCT_INVALID_ARGUMENT', details: { path: project } });
    await checkpoints.restore(task, id, {}, call);
    expect(await sh(task, 'cat made')).toBe('made\n');
    expect(statSync(project)).toMatchObject(owner);
    rmSync(project, { recursive: true });
    writeFileSync(project, 'a file');
    await tasks.delete(task, {}, call);
    expect(readFileSync(project, 'utf8')).toBe('a file');
  });

  async function bind(): Promise<TaskId> {
    give(project);
    const workspace = { kind: 'bind', path: project } as const;
    return (await open.services.tasks.create({ title: 'bind', image, workspace }, call)).id;
  }

  async function sh(task: TaskId, script: string): Promise<string> {
    const command = { kind: 'script', script } as const;
    const { execution, stdout, stderr } = await open.services.executions.run(task, { command }, call);
    if (execution.exitCode !== 0) throw new Error(stderr.text);
    return stdout.text;
  }

  function give(directory: string): void {
    if (!isRoot) return;
    chownSync(directory, owner.uid, owner.gid);
    execFileSync('chown', ['-R', `${owner.uid}:${owner.gid}`, directory]);
  }

  /** With one commit, a submodule at `deep/sub` and one without its repository at `deep/empty`. */
  function repository(): void {
    hostGit('init', '-q', '-b', 'main');
    writeFileSync(join(project, 'file'), 'first\n');
    hostGit('add', 'file');
    hostGit('commit', '-qm', 'first');
    if (!expect.getState().currentTestName?.includes('submodule')) return give(project);
    const head = hostGit('rev-parse', 'HEAD').trim();
    mkdirSync(join(project, '.git/modules'));
    for (const name of ['sub', 'empty']) {
      mkdirSync(join(project, 'deep', name), { recursive: true });
      hostGit('update-index', '--add', '--cacheinfo', `160000,${head},deep/${name}`);
    }
    hostGit('clone', '-q', '--separate-git-dir', join(project, '.git/modules/sub'), project, join(project, 'deep/new'));
    execFileSync('sh', ['-c', 'rmdir deep/sub && mv deep/new deep/sub'], { cwd: project });
    hostGit('commit', '-qm', 'submodules');
    give(project);
  }

  /** As a person would in their shell, with nothing switched off. */
  function hostGit(...args: readonly string[]): string {
    const settings = ['-c', 'safe.directory=*', '-c', 'user.name=A Person', '-c', 'user.email=person@example.com'];
    const env = {
      PATH: process.env['PATH'],
      HOME: base,
      GIT_CONFIG_COUNT: '1',
      GIT_CONFIG_KEY_0: 'safe.directory',
      GIT_CONFIG_VALUE_0: '*',
    };
    return execFileSync('git', ['-C', project, ...settings, ...args], { encoding: 'utf8', stdio: 'pipe', env });
  }
});
