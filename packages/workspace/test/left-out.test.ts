import { execFileSync } from 'node:child_process';
import { createReadStream, existsSync, lstatSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { LeftOut } from '@opencode-tools/core';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openStore } from './open-store.ts';

const tooDeep = 'p=$(printf "d%.0s" $(seq 100)); for i in $(seq 90); do mkdir $p; cd -P $p; echo $i >file; done';

describe('What is in no checkpoint', () => {
  let opened: Awaited<ReturnType<typeof openStore>>;
  let tree: string;
  let leftOut: LeftOut[];

  beforeEach(async () => {
    opened = await openStore();
    tree = join(opened.scratch, 'tree');
    mkdirSync(tree);
    leftOut = [];
  });

  afterEach(async () => {
    // Node removes nothing that lies so deep.
    execFileSync('rm', ['-rf', opened.scratch]);
    await opened.close();
  });

  const freeze = (path: string) =>
    opened.store.freeze({ kind: 'directory', path }, { onLeftOut: (one) => leftOut.push(one) });
  // `find -execdir` takes no relative places of programs, which npm adds.
  const env = { ...process.env, PATH: '/usr/local/bin:/usr/bin:/bin' };
  const run = (script: string): void => void execFileSync('bash', ['-euc', script], { cwd: tree, env });

  it('a path that is too long is left out, and told of', async () => {
    run(`echo 1 >a; ${tooDeep}`);
    const { id, entries } = await freeze(tree);
    expect(leftOut).toEqual([
      { kind: 'deep', count: 2, first: expect.stringMatching(/^d{100}[/d…]{1,600}$/) as string },
    ]);
    const again = await freeze(tree);
    expect(again.id).toBe(id);
    expect(leftOut).toHaveLength(2);
    const back = join(opened.scratch, 'back');
    mkdirSync(back);
    await opened.store.restoreDirectory(back, id);
    expect((await freeze(back)).entries).toBe(entries);
    expect(leftOut).toHaveLength(2);
  });

  it('a restore leaves what lies too deep in a directory that stays, and removes it with one that does not', async () => {
    writeFileSync(join(tree, 'a'), '1');
    const before = await freeze(tree);
    run(`mkdir other; ${tooDeep}; chmod 500 .`);
    const deep = await freeze(tree);
    const { removed } = await opened.store.restoreDirectory(tree, deep.id);
    expect(removed).toBe(0);
    expect(execFileSync('find', ['-name', 'file'], { cwd: tree, encoding: 'latin1' }).trim().split('\n')).toHaveLength(
      90,
    );
    await opened.store.restoreDirectory(tree, before.id);
    expect(readdirSync(tree)).toEqual(['a']);
    expect((await freeze(tree)).id).toBe(before.id);
  });

  it('a stream is read but for what lies too deep, further names of it included', async () => {
    run(
      `mkdir zz; ${tooDeep}; cd ${tree}; find . -name file | tail -n 1 >../deepest; find . -depth -name file -execdir ln {} ${tree}/zz/one ';' -quit`,
    );
    run('ln zz/one zz/two; tar -cf ../tree.tar --sort=name .');
    const { id } = await opened.store.freezeTar(createReadStream(join(opened.scratch, 'tree.tar')));
    const back = join(opened.scratch, 'back');
    mkdirSync(back);
    await opened.store.restoreDirectory(back, id);
    expect(readdirSync(join(back, 'zz'))).toEqual(['one', 'two']);
    expect(lstatSync(join(back, 'zz/one')).ino).toBe(lstatSync(join(back, 'zz/two')).ino);
    expect(lstatSync(join(back, 'zz/one')).size).toBe(2);
  });

  it('a pipe is left out, told of, and left alone by a restore unless its directory goes', async () => {
    run('echo 1 >a; mkdir kept; mkfifo pipe kept/pipe');
    const { id } = await freeze(tree);
    expect(leftOut).toEqual([{ kind: 'special', count: 2, first: 'kept/pipe' }]);
    run('echo 2 >a; mkdir new; mkfifo new/pipe later');
    await opened.store.restoreDirectory(tree, id);
    expect(readdirSync(tree).toSorted()).toEqual(['a', 'kept', 'later', 'pipe']);
    expect(existsSync(join(tree, 'kept/pipe'))).toBe(true);
    rmSync(join(tree, 'pipe'));
  });
});
