import { execFileSync } from 'node:child_process';
import { mkdir, mkdtemp, readFile, readdir, rm, symlink, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { expect, it } from 'vitest';
import { callBy } from './support/home-without-engine.ts';
import { createTestHome } from './support/test-home.ts';

it.each([
  ['files', 'off'],
  ['layers', 'auto'],
])(
  'work of a volume of %s comes back into the repository that it was seeded from, tripwires only when accepted',
  async (_, layers) => {
    const home = await createTestHome();
    const open = await home.open({ environment: { ...process.env, OPENCODE_TOOLS_CHECKPOINTS_LAYERS: layers } });
    const directory = await mkdtemp(path.join(os.tmpdir(), 'oct-work-'));
    const repository = path.join(directory, 'repo');
    try {
      await mkdir(repository);
      await writeFile(path.join(repository, 'a'), 'one\n');
      const git = (...args: readonly string[]): string =>
        execFileSync('git', ['-c', 'user.name=t', '-c', 'user.email=t@example.org', ...args], {
          cwd: repository,
        }).toString();
      git('init', '-q', '-b', 'main');
      git('add', '.');
      git('commit', '-q', '-m', 'base');
      const { tasks, files, work, ledger } = open.services;
      const ada = callBy('ada');
      const source = { kind: 'git', path: repository } as const;
      const { id } = await tasks.create({ title: 'work', image: home.image, workspace: source }, ada);
      await files.write(id, { path: 'a', content: Buffer.from('two\n') }, ada);
      await files.write(id, { path: 'Makefile', content: Buffer.from('all:\n') }, ada);
      const { changes, tripwires, checkpoint } = await work.review(id, {}, ada);
      expect(checkpoint.workspace?.store).toBe(layers === 'auto' ? 'overlay' : 'content');
      expect(changes).toEqual([
        { path: 'Makefile', change: 'added' },
        { path: 'a', change: 'modified' },
      ]);
      expect(tripwires).toMatchObject([{ path: 'Makefile', rule: 'build' }]);
      const at = { checkpoint: checkpoint.id };
      expect(await work.apply(id, at, ada)).toMatchObject({ applied: false, refused: [{ path: 'Makefile' }] });
      expect((await readdir(repository)).sort()).toEqual(['.git', 'a']);
      expect(await work.apply(id, { ...at, accept: ['Makefile'] }, ada)).toMatchObject({ applied: true });
      expect(await readFile(path.join(repository, 'a'), 'utf8')).toBe('two\n');
      expect(git('status', '--porcelain')).toBe(' M a\n?? Makefile\n');
      const records = await ledger.history(id, {
        types: ['work.completed', 'work.refused'],
        newestFirst: false,
      });
      expect(records.map(({ type }) => type)).toEqual(['work.refused', 'work.completed']);
      await writeFile(path.join(repository, 'Makefile'), 'all: mine\n');
      await files.write(id, { path: 'a', content: Buffer.from('three\n') }, ada);
      expect(await work.apply(id, { dryRun: true }, ada)).toMatchObject({ changed: ['a'], conflicts: [], refused: [] });
      expect(await work.apply(id, {}, ada)).toMatchObject({ applied: true, changed: ['a'], kept: ['Makefile'] });
      expect(await readFile(path.join(repository, 'a'), 'utf8')).toBe('three\n');
      await writeFile(path.join(repository, 'a'), 'four\n');
      const link = path.join(directory, 'link');
      await symlink(repository, link);
      expect(await work.apply(id, { directory: link }, ada)).toMatchObject({ kept: ['Makefile', 'a'] });
      const elsewhere = path.join(directory, 'elsewhere');
      await mkdir(elsewhere);
      await writeFile(path.join(elsewhere, 'a'), 'two\n');
      expect(await work.apply(id, { directory: elsewhere }, ada)).toMatchObject({ conflicts: [{ path: 'a' }] });
    } finally {
      await open.close();
      await home.remove();
      await rm(directory, { recursive: true, force: true });
    }
  },
);
