import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import { join } from 'node:path';
import type { DirtyPolicy, SnapshotRef } from '@opencode-tools/core';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { git, openStore } from './open-store.ts';

const identity = { GIT_AUTHOR_NAME: 'An Author', GIT_AUTHOR_EMAIL: 'author@example.com' };
const committer = { GIT_COMMITTER_NAME: 'An Author', GIT_COMMITTER_EMAIL: 'author@example.com' };
const environment = {
  ...process.env,
  ...identity,
  ...committer,
  GIT_CONFIG_GLOBAL: '/dev/null',
  GIT_CONFIG_NOSYSTEM: '1',
};
const owner = { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 };

describe('seeding from a git repository', () => {
  let opened: Awaited<ReturnType<typeof openStore>>;
  let source: string;
  beforeEach(async () => {
    opened = await openStore();
    source = join(opened.scratch, 'source');
    fs.mkdirSync(source);
    inSource(
      'git init -q -b main && echo one > file && mkdir inner && echo two > inner/other && echo "*.log" > .gitignore',
    );
    inSource('git add -A && git commit -qm first && git tag v1 && echo three >> file && git commit -qam second');
  });
  afterEach(() => opened.close());

  test('gives a repository of its own on the branch, with its history and tags', async () => {
    const seeded = await checkout(await seed());
    expect(run(seeded, 'git status --porcelain --branch')).toBe('## main\n');
    expect(run(seeded, 'git log --format=%s')).toBe('second\nfirst\n');
    expect(run(seeded, 'git tag')).toBe('v1\n');
    expect(run(seeded, 'git fsck --strict 2>&1')).toBe('');
    expect(fs.existsSync(join(seeded, '.git/objects/info/alternates'))).toBe(false);
    expect(fs.existsSync(join(seeded, '.git/hooks'))).toBe(false);
    expect(fs.readFileSync(join(seeded, 'file'), 'utf8')).toBe('one\nthree\n');
  });

  test('seeds a tag detached, and another branch on that branch', async () => {
    inSource(
      'git checkout -q -b feature && echo f > feature && git add -A && git commit -qm feature && git checkout -q main',
    );
    const tag = await checkout(await seed({ ref: 'v1' }));
    expect(run(tag, 'git status --porcelain --branch')).toBe('## HEAD (no branch)\n');
    expect(run(tag, 'git log --format=%s')).toBe('first\n');
    const branch = await checkout(await seed({ ref: 'feature' }));
    expect(run(branch, 'git status --porcelain --branch')).toBe('## feature\n');
  });

  test('refuses a name that is a branch and a tag, and takes each by its full name', async () => {
    inSource('git tag both v1 && git branch both && git branch alike && git tag alike alike');
    await expect(seed({ ref: 'both' })).rejects.toMatchObject({
      code: 'OCT_INVALID_ARGUMENT',
      details: { ref: 'both' },
    });
    const tag = await checkout(await seed({ ref: 'refs/tags/both' }));
    expect(run(tag, 'git log --format=%s')).toBe('first\n');
    const branch = await checkout(await seed({ ref: 'refs/heads/both' }));
    expect(run(branch, 'git status --porcelain --branch')).toBe('## both\n');
    await seed({ ref: 'alike' });
  });

  test('brings the tags on its history along, whatever they are on, and no others', async () => {
    inSource('git checkout -q -b aside && git commit -q --allow-empty -m aside && git tag elsewhere');
    inSource('git tag -a -m words elsewhere-too && git checkout -q main && git tag -a -m words v2 HEAD~1');
    const seeded = await checkout(await seed());
    expect(run(seeded, 'git for-each-ref --format="%(refname) %(objecttype)"')).toBe(
      'refs/heads/main commit\nrefs/tags/v1 commit\nrefs/tags/v2 tag\n',
    );
    expect(run(seeded, 'git cat-file -e elsewhere 2>&1 || echo absent')).toContain('absent');
    inSource('git tag tree HEAD^{tree} && git tag -a -m words nested v2');
    const again = await checkout(await seed());
    expect(run(again, 'git tag')).toBe('nested\ntree\nv1\nv2\n');
    expect(run(again, 'git fsck --strict 2>&1')).toBe('');
  });

  test('reads objects as they are, whatever the source puts in their place', async () => {
    inSource('git replace $(git rev-parse HEAD:file) $(echo other | git hash-object -w --stdin)');
    inSource('git replace HEAD HEAD~1');
    const seeded = await checkout(await seed({ dirty: 'leave' }));
    expect(fs.readFileSync(join(seeded, 'file'), 'utf8')).toBe('one\nthree\n');
    expect(run(seeded, 'git log --format=%s && git status --porcelain')).toBe('second\nfirst\n');
    await seed({ dirty: 'refuse' });
    inSource('echo four >>file');
    const carried = await checkout(await seed({ dirty: 'carry' }));
    expect(fs.readFileSync(join(carried, 'file'), 'utf8')).toBe('one\nthree\nfour\n');
  });

  test('refuses a source that lacks objects of the commit, and leaves nothing behind', async () => {
    inSource('object=$(git rev-parse HEAD:inner/other) && rm -f ".git/objects/${object%${object#??}}/${object#??}"');
    await expect(seed({ dirty: 'leave' })).rejects.toMatchObject({ code: 'OCT_INVALID_ARGUMENT' });
    expect(fs.readdirSync(join(opened.directory, 'tmp'))).toEqual([]);
    expect(fs.readdirSync(join(opened.directory, 'packs'))).toEqual([]);
  });

  test('gives the same snapshot for the same commit until what belongs to it changes', async () => {
    const first = await seed();
    inSource('touch -d 2001-01-01 file');
    expect(await seed()).toEqual({ ...first, addedBytes: 0 });
    const ids = new Set([first.id]);
    for (const change of [
      'git tag v2',
      'git remote add origin https://example.com/a.git',
      'git checkout -q -b other',
    ]) {
      inSource(change);
      ids.add((await seed()).id);
    }
    expect(ids.size).toBe(4);
    expect(run(await checkout(await seed()), 'git tag && git remote && git branch')).toBe('v1\nv2\norigin\n* other\n');
    inSource('git checkout -q main && git tag -d v2 && git remote remove origin');
    expect((await seed()).id).toBe(first.id);
    inSource('echo more >>file');
    expect((await seed({ dirty: 'leave' })).id).toBe(first.id);
    expect((await seed({ dirty: 'carry' })).id).not.toBe(first.id);
  });

  test('reads the source again when the snapshot of the commit is damaged', async () => {
    const { id } = await seed();
    const manifest = join(opened.directory, 'snapshots', `${id}.manifest`);
    fs.writeFileSync(manifest, 'damaged');
    const seeded = await checkout(await seed());
    expect(run(seeded, 'git log --format=%s')).toBe('second\nfirst\n');
  });

  test('gives every entry the owner', async () => {
    const { commit } = await git.inspect(source);
    const volume = opened.volumeName();
    const { id } = await opened.store.seed({
      source: { kind: 'git', repository: source, ref: null, commit, dirty: 'refuse' },
      owner,
    });
    await opened.store.provision({ volume, labels: {}, owner, snapshotId: id });
    expect((await opened.store.freeze({ kind: 'volume', volume })).id).toBe(id);
    await opened.volumes.remove(volume);
  });

  test('freezes what was prepared and leaves nothing of its own behind', async () => {
    const seeded = await checkout(await seed({ prepare: (directory) => git.createBranch(directory, 'task/one') }));
    expect(run(seeded, 'git status --porcelain --branch')).toBe('## task/one\n');
    expect(fs.readdirSync(join(opened.directory, 'tmp'))).toEqual([]);
    const failing = seed({ prepare: () => Promise.reject(new Error('vetoed')) });
    await expect(failing).rejects.toThrow('vetoed');
    expect(fs.readdirSync(join(opened.directory, 'tmp'))).toEqual([]);
  });

  describe('with uncommitted changes', () => {
    const status = 'M  both\n'.replace('both', 'file');
    beforeEach(() => {
      inSource(
        'echo staged >> file && git add file && echo unstaged >> inner/other && echo new > "new file" && echo x > a.log',
      );
    });

    test('refuses by default, naming the paths and both ways on', async () => {
      await expect(seed()).rejects.toMatchObject({
        code: 'OCT_INVALID_ARGUMENT',
        remedy: expect.stringMatching(/carry.*leave/),
        details: { paths: ['file', 'inner/other', 'new file'] },
      });
      expect(fs.readdirSync(join(opened.directory, 'tmp'))).toEqual([]);
    });

    test('carries them as they are: staged, unstaged, untracked, not ignored', async () => {
      inSource(
        'git rm -q --cached .gitignore && printf "bin\\000ary" > binary && git add binary && chmod +x inner/other',
      );
      inSource('ln -s nowhere link && git add link && mkdir -p deep/er && echo d > deep/er/file && rm .gitignore');
      const before = inSource('git status --porcelain --untracked-files=all');
      const seeded = await checkout(await seed({ dirty: 'carry' }));
      expect(run(seeded, 'git status --porcelain --untracked-files=all')).toBe(
        before.replace('?? a.log\n', '?? a.log\n'),
      );
      expect(run(seeded, 'git diff HEAD --binary')).toBe(inSource('git diff HEAD --binary'));
      expect(run(seeded, 'git diff --cached --binary')).toBe(inSource('git diff --cached --binary'));
    });

    test('leaves them behind when told so', async () => {
      const seeded = await checkout(await seed({ dirty: 'leave' }));
      expect(run(seeded, 'git status --porcelain')).toBe('');
    });

    test('changes nothing in the source', async () => {
      const before = inSource(
        'git status --porcelain && git diff && git diff --cached && find .git -type f | sort | xargs sha256sum',
      );
      await seed({ dirty: 'carry' });
      expect(
        inSource(
          'git status --porcelain && git diff && git diff --cached && find .git -type f | sort | xargs sha256sum',
        ),
      ).toBe(before);
      expect(before).toContain(status);
    });

    test('refuses to carry them onto another commit, and from the middle of a merge', async () => {
      await expect(seed({ dirty: 'carry', ref: 'v1' })).rejects.toMatchObject({ code: 'OCT_INVALID_ARGUMENT' });
      inSource(
        'git stash -q -u; git checkout -q -b other v1 && echo clash >> file && git commit -qam clash; git merge main || true',
      );
      await expect(seed({ dirty: 'carry' })).rejects.toMatchObject({
        code: 'OCT_INVALID_ARGUMENT',
        message: expect.stringContaining('middle of a merge'),
      });
    });
  });

  test('gives the files that a checkout gives, all as old as the commit', async () => {
    inSource(
      'chmod 755 file && ln -s inner/other link && ln -s /nowhere broken && printf "a\\0b" > "odd\nname" && git add -A',
    );
    inSource('head -c 300000 /dev/urandom > inner/large && mkdir -p deep/er && : > deep/er/empty && git add -A');
    inSource('git commit -qm odd --date=2001-01-01T00:00:00Z');
    const seeded = await checkout(await seed());
    const clone = join(opened.scratch, 'clone');
    run(opened.scratch, 'git clone -q source clone');
    const list =
      "find . -path ./.git -prune -o -printf '%y %m %s %p %l\\0' | sort -z; find . -path ./.git -prune -o -type f -print0 | sort -z | xargs -0 sha256sum";
    expect(run(seeded, list).split('\0').slice(1)).toEqual(run(clone, list).split('\0').slice(1));
    const committedAt = Number(run(clone, 'git log -1 --format=%ct'));
    expect(fs.statSync(join(seeded, 'inner/large')).mtimeMs).toBe(committedAt * 1000);
  });

  test('checks out what attributes change, and leaves out nothing for them', async () => {
    inSource('printf "crlf eol=crlf\\nhidden export-ignore\\nsubst export-subst\\n" > inner/.gitattributes');
    inSource('printf "1\\n2\\n" > inner/crlf && echo hidden > inner/hidden && echo "\\$Format:%H\\$" > inner/subst');
    inSource('git add -A && git commit -qm attributes');
    const seeded = await checkout(await seed());
    expect(fs.readFileSync(join(seeded, 'inner/crlf'), 'utf8')).toBe('1\r\n2\r\n');
    expect(fs.readFileSync(join(seeded, 'inner/hidden'), 'utf8')).toBe('hidden\n');
    expect(fs.readFileSync(join(seeded, 'inner/subst'), 'utf8')).toBe('$Format:%H$\n');
    expect(run(seeded, 'git status --porcelain')).toBe('');
  });

  test('runs no hook, filter or monitor of the source', async () => {
    const trap = join(opened.scratch, 'trap');
    fs.writeFileSync(trap, `#!/bin/sh\necho "$0 $*" >> ${opened.scratch}/sprung\ncat\n`, { mode: 0o755 });
    for (const name of fs.readdirSync(join(source, '.git')).includes('hooks')
      ? ['post-checkout', 'pre-commit', 'post-index-change', 'reference-transaction']
      : []) {
      fs.copyFileSync(trap, join(source, '.git/hooks', name));
    }
    inSource('echo "* filter=evil diff=evil" > .gitattributes && git add -A && git commit -qm attributes');
    for (const key of [
      'filter.evil.clean',
      'filter.evil.smudge',
      'filter.evil.process',
      'core.fsmonitor',
      'diff.evil.command',
      'diff.evil.textconv',
      'core.sshCommand',
      'uploadpack.packObjectsHook',
      'core.alternateRefsCommand',
      'core.pager',
    ]) {
      inSource(`git config ${key} ${trap}`);
    }
    fs.rmSync(join(opened.scratch, 'sprung'), { force: true });
    fs.appendFileSync(join(source, 'file'), 'dirty\n');
    await git.inspect(source);
    await checkout(await seed({ dirty: 'carry' }));
    expect(fs.existsSync(join(opened.scratch, 'sprung'))).toBe(false);
    inSource('git status; git diff');
    expect(fs.existsSync(join(opened.scratch, 'sprung'))).toBe(true);
  });

  test.for([
    ['in any case', `printf '[Filter "evil"]\\n\\tClean = "%s"\\n' "$TRAP" >> .git/config`, '.'],
    ['in an included file', 'git config -f more filter.evil.clean "$TRAP" && git config include.path "$PWD/more"', '.'],
    [
      'of a work tree',
      'git config extensions.worktreeConfig true && git config --worktree filter.evil.clean "$TRAP"',
      '.',
    ],
    ['of a linked work tree', 'git config filter.evil.clean "$TRAP" && git worktree add -q ../linked', '../linked'],
    [
      'of a repository above one that is none',
      'git config filter.evil.clean "$TRAP" && git init -q inner && rm -r inner/.git/objects',
      'inner',
    ],
  ] as const)('runs no filter that is configured %s', async ([, script, place]) => {
    const trap = join(opened.scratch, 'trap');
    const sprung = join(opened.scratch, 'sprung');
    fs.writeFileSync(trap, `#!/bin/sh\ntouch ${sprung}\ncat\n`, { mode: 0o755 });
    inSource('echo "* filter=evil" > .gitattributes && git add -A && git commit -qm attributes');
    inSource(`TRAP=${trap}; ${script}`);
    const directory = join(source, place);
    run(directory, 'touch -d "1 hour ago" file other 2>/dev/null; find . -name file -o -name other');
    fs.rmSync(sprung, { force: true });
    await git.inspect(directory);
    await seed({ from: directory, dirty: 'leave' });
    await seed({ from: directory }).catch(() => undefined);
    expect(fs.existsSync(sprung)).toBe(false);
    run(directory, 'git status');
    expect(fs.existsSync(sprung)).toBe(true);
  });

  test('keeps the address of the remote without its credentials, and no path of this host', async () => {
    inSource('git remote add origin https://user:secret@example.com/a.git?token=secret');
    const seeded = await checkout(await seed());
    expect(run(seeded, 'git remote get-url origin')).toBe('https://example.com/a.git\n');
    inSource(`git remote set-url origin ${source}`);
    expect(run(await checkout(await seed()), 'git remote')).toBe('');
  });

  test('writes whatever is the address of the remote as that alone', async () => {
    const odd = 'git@example.com:a"b\\c;d#e\n[core]\n\tpager = evil';
    execFileSync('git', ['remote', 'add', 'origin', odd], { cwd: source, env: environment });
    const seeded = await checkout(await seed());
    expect(run(seeded, 'git config remote.origin.url')).toBe(`${odd}\n`);
    expect(run(seeded, 'git config core.pager || echo none')).toBe('none\n');
    expect(run(seeded, 'git config remote.origin.fetch')).toBe('+refs/heads/*:refs/remotes/origin/*\n');
  });

  test('seeds from a repository whose objects have long names', async () => {
    inSource('rm -r .git && git init -q -b main --object-format=sha256 && git add -A && git commit -qm long');
    const seeded = await checkout(await seed());
    expect(run(seeded, 'git status --porcelain --branch && git fsck --strict 2>&1')).toBe('## main\n');
  });

  test('says nothing in the repository of who seeded it', async () => {
    for (const attributes of ['', '* text=auto']) {
      inSource(`printf '%s' "${attributes}" > .gitattributes && git add -A && git commit -qm attributes`);
      expect(fs.existsSync(join(await checkout(await seed()), '.git/logs'))).toBe(false);
    }
  });

  test('gives a repository of the form that git makes', async () => {
    const seeded = await checkout(await seed());
    const made = join(opened.scratch, 'made');
    run(opened.scratch, `git init -q -b main --template= made`);
    for (const name of ['config', 'HEAD'])
      expect(fs.readFileSync(join(seeded, '.git', name), 'utf8')).toBe(
        fs.readFileSync(join(made, '.git', name), 'utf8'),
      );
    const directories = 'find .git -type d | sort';
    expect(run(seeded, directories)).toBe(run(made, directories));
  });

  test('refuses submodules, naming them', async () => {
    inSource('git -c protocol.file.allow=always submodule --quiet add "$PWD/.git" module && git commit -qm module');
    await expect(seed()).rejects.toMatchObject({ code: 'OCT_INVALID_ARGUMENT', details: { submodules: ['module'] } });
  });

  test('refuses a partial clone that lacks what is to be seeded, and fetches nothing for it', async () => {
    inSource('git config uploadpack.allowFilter true && git config uploadpack.allowAnySHA1InWant true');
    inSource('git clone -q --filter=blob:none "file://$PWD" ../place');
    const place = join(opened.scratch, 'place');
    const objects = (): string => run(place, 'git rev-list --objects --all --missing=print | grep -c "^?"');
    const missing = objects();
    await expect(seed({ from: place, ref: 'HEAD~1' })).rejects.toMatchObject({
      code: 'OCT_INVALID_ARGUMENT',
      message: expect.stringContaining('is a partial clone') as string,
      remedy: expect.stringContaining('(git fetch --refetch --no-filter)') as string,
      details: { directory: place },
    });
    expect(objects()).toBe(missing);
    run(place, 'git -c protocol.file.allow=always fetch -q --refetch --no-filter');
    await seed({ from: place, ref: 'HEAD~1' });
  });

  test.each<readonly [string, string, string]>([
    ['a shallow clone', 'git clone -q --depth 1 "file://$PWD" ../place', 'second\n'],
    ['a linked worktree', 'git worktree add -q ../place -b linked', 'second\nfirst\n'],
    ['a bare repository', 'git clone -q --bare . ../place', 'second\nfirst\n'],
    ['a clone that borrows objects', 'git clone -q --shared . ../place', 'second\nfirst\n'],
    ['a detached HEAD', 'git clone -q . ../place && git -C ../place checkout -q --detach', 'second\nfirst\n'],
    [
      'a subdirectory',
      'mkdir ../holder && git clone -q . ../holder/top && ln -s holder/top/inner ../place',
      'second\nfirst\n',
    ],
    [
      'a path with odd names',
      'git clone -q . "../a \'b\' \\"c\\" é" && ln -s "a \'b\' \\"c\\" é" ../place',
      'second\nfirst\n',
    ],
  ])('seeds from %s', async (_, make, log) => {
    inSource(make);
    const place = join(opened.scratch, 'place');
    const seeded = await checkout(await seed({ from: place }));
    expect(run(seeded, 'git log --format=%s')).toBe(log);
    expect(run(seeded, 'git status --porcelain')).toBe('');
    expect(run(seeded, 'git fsck 2>&1')).toBe('');
  });

  async function seed(
    options: {
      readonly from?: string;
      readonly ref?: string;
      readonly dirty?: DirtyPolicy;
      readonly prepare?: (directory: string) => Promise<void>;
    } = {},
  ): Promise<SnapshotRef> {
    const repository = options.from ?? source;
    const { commit } = await git.inspect(repository, options.ref);
    return opened.store.seed({
      source: { kind: 'git', repository, ref: options.ref ?? null, commit, dirty: options.dirty ?? 'refuse' },
      owner,
      ...(options.prepare === undefined ? {} : { prepare: options.prepare }),
    });
  }

  async function checkout({ id }: SnapshotRef): Promise<string> {
    const directory = fs.mkdtempSync(join(opened.scratch, 'seeded-'));
    await opened.store.restoreDirectory(directory, id);
    return directory;
  }

  function inSource(script: string): string {
    return run(source, script);
  }
});

function run(cwd: string, script: string): string {
  return execFileSync('sh', ['-ec', script], {
    cwd,
    env: environment,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
  });
}
