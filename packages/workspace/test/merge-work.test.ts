import * as fs from 'node:fs';
import { join } from 'node:path';
import type { MergedWork } from '@opencode-tools/core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Bundled, type MergeBed, git, openMergeBed, stateOf } from './merge-bed.ts';

let bed: MergeBed;
beforeAll(async () => {
  bed = await openMergeBed();
});
afterAll(async () => bed.close());

type Make = (at: (file: string) => string) => unknown;
const nothing: Make = () => undefined;
const edit: Make = (at) => {
  fs.writeFileSync(at('src/a'), 'one\ntwo\nthree\nfour\ntheirs\n');
  fs.rmSync(at('gone'), { recursive: true });
  fs.mkdirSync(at('new'));
  fs.writeFileSync(at('new/file'), 'new\n');
};

const kinds: Readonly<Record<string, Make>> = {
  edits: edit,
  'a binary file': (at) => fs.writeFileSync(at('bin.dat'), Buffer.from([0, 255, 1, 13, 10, 0])),
  'a rename': (at) => fs.renameSync(at('src/a'), at('src/renamed')),
  'line ends': (at) => fs.writeFileSync(at('crlf'), 'a\r\nb\r\n'),
  'odd names': (at) => {
    for (const name of ['-n', 'a b', "quo'te", 'ünï', 'line\nbreak', '*', '"']) fs.writeFileSync(at(name), name);
  },
  'kinds that change': (at) => {
    fs.rmSync(at('src/a'));
    fs.symlinkSync('../keep', at('src/a'));
    fs.rmSync(at('gone'), { recursive: true });
    fs.writeFileSync(at('gone'), 'a file now');
    fs.rmSync(at('keep'));
    fs.mkdirSync(at('keep'));
    fs.writeFileSync(at('keep/in'), 'x');
  },
  'a file that becomes executable': (at) => fs.chmodSync(at('keep'), 0o755),
  'no change at all': nothing,
};

/** What a user's repository is like. `planted` is left there when anything runs what it configures. */
const states: Readonly<Record<string, Make>> = {
  'has gone on': (at) => {
    fs.writeFileSync(at('src/a'), 'mine\ntwo\nthree\nfour\nfive\n');
    git(at('.'), 'commit', '-q', '-a', '-m', 'gone on');
  },
  'is dirty elsewhere': (at) => {
    fs.writeFileSync(at('mine'), 'not committed\n');
    fs.writeFileSync(at('unknown'), 'not committed\n');
    fs.writeFileSync(at('ignored'), 'not committed\n');
  },
  'has something staged': (at) => {
    fs.writeFileSync(at('mine'), 'staged\n');
    git(at('.'), 'add', 'mine');
    fs.writeFileSync(at('mine'), 'and more\n');
  },
  'has hooks, filters and monitors': (at) => {
    const plant = `touch '${at('../planted')}'`;
    for (const hook of ['post-checkout', 'pre-commit', 'post-merge', 'post-index-change', 'reference-transaction'])
      fs.writeFileSync(at(`.git/hooks/${hook}`), `#!/bin/sh\n${plant}\n`, { mode: 0o755 });
    for (const [key, value] of [
      ['core.fsmonitor', plant],
      ['filter.evil.clean', `${plant}; cat`],
      ['filter.evil.smudge', `${plant}; cat`],
      ['core.alternateRefsCommand', plant],
      ['merge.evil.driver', plant],
      ['diff.evil.textconv', plant],
    ] as const)
      git(at('.'), 'config', key, value);
    fs.writeFileSync(at('.git/info/attributes'), '* filter=evil merge=evil diff=evil\n');
  },
  'is shallow': (at) => {
    fs.writeFileSync(at('mine'), 'second\n');
    git(at('.'), 'commit', '-q', '-a', '-m', 'second');
    git(at('..'), 'clone', '-q', '--depth', '1', `file://${at('.')}`, 'shallow');
    fs.rmSync(at('.'), { recursive: true });
    fs.renameSync(at('../shallow'), at('.'));
  },
  'is a partial view': (at) => {
    git(at('.'), 'sparse-checkout', 'set', '--no-cone', '/*', '!/gone/');
  },
  'turns line ends': (at) => git(at('.'), 'config', 'core.autocrlf', 'true'),
};

async function into(at: (file: string) => string, bundled: Bundled, more: object = {}): Promise<MergedWork> {
  const operationId = bed.newId();
  await bundled.receive(operationId);
  const { base } = bundled;
  const accept = ['keep', 'src/a', '.gitattributes'];
  const message = 'Merge it';
  const request = {
    repository: at('.'),
    base,
    branch: 'main',
    into: true,
    accept,
    message,
    operationId,
    dryRun: false,
  };
  try {
    return await bed.work.merge({ ...request, ...more });
  } finally {
    await bed.work.forget(operationId);
  }
}

describe('commits merged into the branch that is checked out', () => {
  const cases = [
    ...Object.entries(kinds).map(([kind, make]) => ({ state: 'is clean', prepare: nothing, kind, change: make })),
    ...Object.entries(states).map(([state, make]) => ({ state, prepare: make, kind: 'edits', change: edit })),
  ];
  test.each(cases)(
    'where it $state, with $kind, are what git makes of them',
    async ({ state, prepare, kind, change }) => {
      const name = `${state}-${kind}`.replaceAll(/\W/g, '-');
      const at = bed.repository(name, nothing);
      // A repository is seeded as it is; the others change after the task has begun.
      if (state === 'is shallow') prepare(at);
      const bundled = await bed.bundled(name, at, change);
      if (state !== 'is shallow') prepare(at);
      const gits = join(bed.scratch, name, 'gits');
      fs.cpSync(at('.'), gits, { recursive: true, verbatimSymlinks: true });
      git(gits, 'update-index', '-q', '--refresh');
      git(gits, 'pull', '-q', '--no-rebase', '--no-edit', bundled.inside('.'), 'main');
      fs.rmSync(at('../planted'), { force: true });
      expect(await into(at, bundled)).toMatchObject({ merged: true, conflicts: [], refused: [], workTree: at('.') });
      expect(fs.existsSync(at('../planted'))).toBe(false);
      expect(stateOf(at('.'))).toEqual(stateOf(gits));
      expect(await into(at, bundled)).toMatchObject({ merged: true, how: 'present', commits: 0 });
      git(at('.'), 'fsck', '--strict');
    },
  );
});

test('a bundle whose pieces come faster than they are written is kept as it is', async () => {
  const id = bed.newId();
  const sink = await bed.work.receive(id);
  const pieces = Array.from({ length: 400 }, (_, index) => Buffer.alloc(1 + ((index * 7919) % 50_000), index));
  for (const piece of pieces) void sink.write(piece);
  await sink.close();
  const kept = fs.readFileSync(join(bed.store, 'works', `${id}.bundle`));
  await bed.work.forget(id);
  expect(kept.equals(Buffer.concat(pieces))).toBe(true);
});

test('tripwires are those of work that comes as files', async () => {
  const at = bed.repository('tripwires', (here) => {
    fs.writeFileSync(here('package.json'), '{"name":"x","scripts":{"test":"old"}}');
    fs.writeFileSync(here('.gitattributes'), '*.txt text\n');
    git(here('.'), 'add', '-A');
    git(here('.'), 'commit', '-q', '-m', 'more');
  });
  const bundled = await bed.bundled('tripwires', at, (inside) => {
    fs.writeFileSync(inside('package.json'), '{"name":"y","scripts":{"test":"new"}}');
    fs.writeFileSync(inside('.gitattributes'), '*.txt text filter=evil\n');
    fs.writeFileSync(inside('composer.json'), `{"scripts":{"x":"${'y'.repeat(1_100_000)}"}}`);
    fs.mkdirSync(inside('links'));
    for (let index = 0; index < 600; index += 1) fs.symlinkSync(`../keep${index}`, inside(`links/${index}`));
    fs.symlinkSync('/etc/passwd', inside('absolute'));
    fs.symlinkSync('../../up', inside('links/up'));
    fs.symlinkSync('x'.repeat(900), inside('long'));
    fs.writeFileSync(inside('.mcp.json'), '{}');
    fs.chmodSync(inside('keep'), 0o755);
    fs.appendFileSync(inside('src/a'), 'harmless\n');
  });
  const { refused, merged } = await into(at, bundled, { accept: [] });
  expect(merged).toBe(false);
  expect(refused.map(({ path, rule }) => `${path} ${rule}`)).toEqual([
    '.gitattributes git',
    '.mcp.json agent',
    'absolute link',
    'composer.json package-script',
    'keep mode',
    'links/up link',
    'package.json package-script',
  ]);
});

test.each<readonly [string, (file: string, at: (file: string) => string) => void]>([
  ['other times', (file) => fs.utimesSync(file, 1, 1)],
  [
    'been written again as it was',
    (file) => {
      fs.renameSync(file, `${file}.old`);
      fs.copyFileSync(`${file}.old`, file);
      fs.rmSync(`${file}.old`);
    },
  ],
  ['become read-only', (file) => fs.chmodSync(file, 0o444)],
  [
    'become a program where modes do not count',
    (file, at) => {
      git(at('.'), 'config', 'core.fileMode', 'false');
      fs.chmodSync(file, 0o755);
    },
  ],
])('a file that has only %s is not in the way', async (name, change) => {
  const at = bed.repository(`looks-${name.replaceAll(' ', '-')}`, nothing);
  const bundled = await bed.bundled(`looks-${name.replaceAll(' ', '-')}`, at, edit);
  change(at('src/a'), at);
  expect(await into(at, bundled)).toMatchObject({ merged: true, conflicts: [] });
  expect(fs.readFileSync(at('src/a'), 'utf8')).toContain('theirs');
  expect(git(at('.'), 'status', '--porcelain')).toBe('');
});

describe('commits that cannot come', () => {
  const obstacles: readonly (readonly [string, Make, RegExp])[] = [
    [
      'the same line is changed on the branch',
      (at) => {
        fs.writeFileSync(at('src/a'), 'one\ntwo\nthree\nfour\nmine\n');
        git(at('.'), 'commit', '-q', '-a', '-m', 'mine');
      },
      /changed in the task and on the branch/,
    ],
    [
      'the same file has changes that are not committed',
      (at) => fs.appendFileSync(at('src/a'), 'mine\n'),
      /not uptodate/,
    ],
    [
      'the same file has staged changes',
      (at) => {
        fs.appendFileSync(at('src/a'), 'mine\n');
        git(at('.'), 'add', '-A');
      },
      /would be overwritten|not uptodate/,
    ],
    ['the index is locked', (at) => fs.writeFileSync(at('.git/index.lock'), ''), /index\.lock/],
    [
      'a file that git does not know is there',
      (at) => {
        fs.mkdirSync(at('new'));
        fs.writeFileSync(at('new/file'), 'mine\n');
      },
      /not in git/,
    ],
    [
      'an ignored file is there',
      (at) => {
        fs.writeFileSync(at('.git/info/exclude'), 'new\n');
        fs.writeFileSync(at('new'), 'mine\n');
      },
      /not in git/,
    ],
  ];
  test.each(obstacles)('for %s leave everything as it is', async (name, prepare, reason) => {
    const at = bed.repository(name, nothing);
    const bundled = await bed.bundled(name, at, edit);
    prepare(at);
    const before = { ...stateOf(at('.')), main: git(at('.'), 'rev-parse', 'main') };
    const result = await into(at, bundled);
    expect(result.merged).toBe(false);
    expect(result.conflicts.map((each) => each.reason).join()).toMatch(reason);
    expect({ ...stateOf(at('.')), main: git(at('.'), 'rev-parse', 'main') }).toEqual(before);
  });

  test.each<readonly [string, Make, string]>([
    [
      'a merge is under way',
      (at) => fs.writeFileSync(at('.git/MERGE_HEAD'), git(at('.'), 'rev-parse', 'HEAD')),
      'in the middle of',
    ],
    ['there is no such branch', (at) => git(at('.'), 'branch', '-m', 'main', 'other'), 'No branch main'],
  ])('since %s leave everything as it is', async (name, prepare, message) => {
    const at = bed.repository(name, nothing);
    const bundled = await bed.bundled(name, at, edit);
    prepare(at);
    const head = git(at('.'), 'rev-parse', 'HEAD');
    await expect(into(at, bundled)).rejects.toThrow(message);
    expect(git(at('.'), 'rev-parse', 'HEAD')).toBe(head);
    expect(git(at('.'), 'status', '--porcelain')).toBe('');
  });

  test('unsound ones never reach the repository', async () => {
    const at = bed.repository('unsound', nothing);
    const bundled = await bed.bundled('unsound', at, edit);
    const { base, inside } = bundled;
    const blob = git(inside('.'), 'rev-parse', 'HEAD:keep').trim();
    const tree = fs.readFileSync(writeTree(inside, `100644 .git\0${blob}`), 'utf8').trim();
    const commit = git(inside('.'), 'commit-tree', tree, '-p', 'HEAD', '-m', 'unsound').trim();
    // What the last commit holds is harmless.
    const last = git(inside('.'), 'commit-tree', 'HEAD^{tree}', '-p', commit, '-m', 'sound').trim();
    git(inside('.'), 'update-ref', 'refs/opencode-tools/out', last);
    const file = join(bed.scratch, 'unsound.bundle');
    git(inside('.'), 'bundle', 'create', '-q', file, 'refs/opencode-tools/out', `^${base}`);
    await expect(into(at, bundled)).rejects.toThrow('hasDotgit');
    expect(git(at('.'), 'count-objects', '-v')).toContain('in-pack: 0');
  });
});

test('a branch that is checked out in another work tree goes forward there', async () => {
  const at = bed.repository('elsewhere', (here) => {
    git(here('.'), 'checkout', '-q', '--detach');
    git(here('.'), 'worktree', 'add', '-q', here('../side'), 'main');
  });
  const bundled = await bed.bundled('elsewhere', at, edit);
  const before = fs.readFileSync(at('src/a'), 'utf8');
  expect(await into(at, bundled)).toMatchObject({ merged: true, workTree: at('../side') });
  expect(fs.readFileSync(at('src/a'), 'utf8')).toBe(before);
  expect(fs.readFileSync(at('../side/src/a'), 'utf8')).toContain('theirs');
  expect(git(at('../side'), 'status', '--porcelain')).toBe('');
});

test('a work tree whose repository lies elsewhere goes along', async () => {
  const at = bed.repository('separate', (here) =>
    git(here('.'), 'init', '-q', '--separate-git-dir', here('../its.git')),
  );
  const bundled = await bed.bundled('separate', at, edit);
  expect(await into(at, bundled)).toMatchObject({ merged: true, workTree: at('.') });
  expect(fs.readFileSync(at('src/a'), 'utf8')).toContain('theirs');
  expect(git(at('.'), 'status', '--porcelain')).toBe('');
});

describe('a branch that something goes back to stays where it is', () => {
  const rebase =
    (...args: readonly string[]) =>
    (here: (file: string) => string) => {
      git(here('.'), 'commit', '-q', '--allow-empty', '-m', 'one');
      git(here('.'), 'branch', '-q', 'on-the-way');
      git(here('.'), 'commit', '-q', '--allow-empty', '-m', 'two');
      git(
        here('.'),
        '-c',
        "sequence.editor=sed -i '1i break'",
        'rebase',
        '-q',
        '-i',
        '--keep-empty',
        ...args,
        'HEAD~2',
      );
    };
  test.each<[string, Make, string]>([
    ['by a rebase', rebase(), 'main'],
    ['by a rebase of another branch', rebase('--update-refs'), 'on-the-way'],
    [
      'by a bisection',
      (here) => {
        for (const each of ['one', 'two']) git(here('.'), 'commit', '-q', '--allow-empty', '-m', each);
        git(here('.'), 'bisect', 'start', 'HEAD', 'HEAD~2');
      },
      'main',
    ],
    [
      'in another work tree',
      (here) => {
        git(here('.'), 'checkout', '-q', '--detach');
        git(here('.'), 'worktree', 'add', '-q', here('../linked'), 'main');
        rebase()((file) => here(join('../linked', file)));
      },
      'main',
    ],
  ])('%s', async (what, prepare, branch) => {
    const name = what.replaceAll(' ', '-');
    const at = bed.repository(name, prepare);
    const bundled = await bed.bundled(name, at, edit);
    const before = git(at('.'), 'rev-parse', branch);
    await expect(into(at, bundled, { branch })).rejects.toMatchObject({
      code: 'OCT_INVALID_ARGUMENT',
      remedy: 'Finish or abort it first.',
    });
    expect(git(at('.'), 'rev-parse', branch)).toBe(before);
  });
});

test.each(['taken/by/more', 'main/sub'])(
  'a branch named %s that another leaves no room for is told so',
  async (branch) => {
    const at = bed.repository(branch.replaceAll('/', '-'), (here) => git(here('.'), 'branch', 'taken'));
    const bundled = await bed.bundled(branch.replaceAll('/', '-'), at, edit);
    const told = { code: 'OCT_INVALID_ARGUMENT', remedy: 'Name another branch.' };
    await expect(into(at, bundled, { branch, into: false })).rejects.toMatchObject(told);
  },
);

test('a repository whose name is odd gives and takes as any other', async () => {
  const name = `odd "quoted" \\ #x ünï\nline`;
  const at = bed.repository(name, nothing);
  const bundled = await bed.bundled('odd-name', at, edit);
  expect(await into(at, bundled)).toMatchObject({ merged: true });
  expect(git(at('.'), 'status', '--porcelain')).toBe('');
});

/** Writes a tree object that `mktree` would refuse, and a file with its name. */
function writeTree(inside: (file: string) => string, entry: string): string {
  const [head = '', blob = ''] = entry.split('\0');
  const raw = Buffer.concat([Buffer.from(`${head}\0`), Buffer.from(blob, 'hex')]);
  const [source, named] = [inside('.git/raw-tree'), inside('.git/tree-name')];
  fs.writeFileSync(source, raw);
  fs.writeFileSync(named, git(inside('.'), 'hash-object', '-w', '-t', 'tree', '--literally', source));
  return named;
}

test('whoever may not go on any more moves no branch', async () => {
  const at = bed.repository('not-confirmed', nothing);
  const bundled = await bed.bundled('not-confirmed', at, edit);
  const before = { ...stateOf(at('.')), main: git(at('.'), 'rev-parse', 'main') };
  const confirm = async (): Promise<void> => Promise.reject(new Error('the lease is lost'));
  await expect(into(at, bundled, { confirm })).rejects.toThrow('the lease is lost');
  expect({ ...stateOf(at('.')), main: git(at('.'), 'rev-parse', 'main') }).toEqual(before);
  expect(await into(at, bundled)).toMatchObject({ merged: true });
});

test.each([
  ['moves', (at: string) => git(at, 'commit', '-q', '--allow-empty', '-m', 'of the user'), 'main'],
  ['is made', (at: string) => git(at, 'branch', 'made', 'main~0'), 'made'],
])('a branch that %s meanwhile is left as it is, and the merge can be tried again', async (what, move, branch) => {
  const at = bed.repository(`raced-${what.replace(' ', '-')}`, nothing);
  const bundled = await bed.bundled(`raced-${what.replace(' ', '-')}`, at, edit);
  const confirm = async (): Promise<void> => void move(at('.'));
  const target = { branch, into: branch === 'main' };
  const conflict = { code: 'OCT_VERSION_CONFLICT', details: { ref: `refs/heads/${branch}` } };
  await expect(into(at, bundled, { ...target, confirm })).rejects.toMatchObject(conflict);
  expect(git(at('.'), 'log', '-1', '--format=%s', branch)).toBe(branch === 'main' ? 'of the user\n' : 'base\n');
  expect(git(at('.'), 'status', '--porcelain')).toBe('');
  expect(await into(at, bundled, target)).toMatchObject({ merged: true });
});

test('what an earlier commit had, and a later one took away, is told and waits as well', async () => {
  const at = bed.repository('between', nothing);
  const bundled = await bed.bundled('between', at, (inside) => {
    fs.writeFileSync(inside('Makefile'), 'all: ;\n');
    fs.mkdirSync(inside('.github/workflows'), { recursive: true });
    fs.writeFileSync(inside('.github/workflows/ci.yml'), 'on: push\n');
    git(inside('.'), 'add', '-A');
    git(inside('.'), 'commit', '-q', '-m', 'with a Makefile');
    fs.rmSync(inside('Makefile'));
    fs.writeFileSync(inside('new'), 'new\n');
  });
  const refused = await into(at, bundled);
  expect(refused).toMatchObject({ merged: false, conflicts: [] });
  expect(refused.changes.map(({ path }) => path)).toEqual(['.github/workflows/ci.yml', 'new']);
  expect(refused.refused.map(({ path, rule }) => [path, rule])).toEqual([
    ['.github/workflows/ci.yml', 'ci'],
    ['Makefile', 'build'],
  ]);
  expect(refused.refused[1]?.why).toContain('in an earlier commit');
  const accept = ['Makefile', '.github/workflows/ci.yml'];
  expect(await into(at, bundled, { accept })).toMatchObject({ merged: true, commits: 2 });
});
