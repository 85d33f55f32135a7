import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type OperationId, type WorkPort, createIds, systemClock } from '@opencode-tools/core';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { describeTree } from './random-tree.ts';

export interface OpenWorkPort {
  readonly work: WorkPort;
  /** Freezes a directory where the port finds it, and gives the tree's id. */
  freeze(directory: string): Promise<string>;
  close(): Promise<void>;
}

/** Says what every `WorkPort` does. Called at the top level of a test file. */
export function workPortContract(name: string, open: () => Promise<OpenWorkPort>): void {
  describe(`${name} as a port of work`, () => {
    let opened: OpenWorkPort;
    let work: WorkPort;
    let scratch: string;
    beforeAll(async () => {
      opened = await open();
      ({ work } = opened);
    });
    afterAll(async () => opened.close());
    beforeEach(() => {
      scratch = realpathSync(mkdtempSync(join(tmpdir(), 'oct-work-port-')));
      return () => rmSync(scratch, { recursive: true, force: true });
    });

    const ids = createIds(systemClock);
    const newId = (): OperationId => ids.next('operation');
    const mine = (...parts: readonly string[]): string => join(scratch, 'mine', ...parts);
    const inside = (...parts: readonly string[]): string => join(scratch, 'inside', ...parts);
    const read = (...parts: readonly string[]): string => readFileSync(mine(...parts), 'utf8');
    const run = (cwd: string, ...argv: readonly string[]): string =>
      execFileSync('git', ['-C', cwd, '-c', 'user.name=a', '-c', 'user.email=a@b', ...argv], { encoding: 'utf8' });

    /** The user's directory, and what a task made of a copy of it. */
    async function changed(change: () => void) {
      mkdirSync(mine('gone/deep'), { recursive: true });
      writeFileSync(mine('edited'), 'one\ntwo\nthree\nfour\nfive\n');
      writeFileSync(mine('gone/deep/file'), 'gone\n');
      writeFileSync(mine('kept'), 'kept\n');
      cpSync(mine(), inside(), { recursive: true });
      const fromId = await opened.freeze(inside());
      change();
      const toId = await opened.freeze(inside());
      return { directory: mine(), fromId, toId, accept: [], threeWay: false };
    }
    const edits = (): void => {
      writeFileSync(inside('edited'), 'theirs\ntwo\nthree\nfour\nfive\n');
      rmSync(inside('gone'), { recursive: true });
      mkdirSync(inside('made'));
      writeFileSync(inside('made/new'), 'new\n');
      symlinkSync('made/new', inside('link'));
    };
    const bringsEdits = ['edited', 'gone', 'gone/deep', 'gone/deep/file', 'link', 'made', 'made/new'];

    test('tells what work changes, and that equal trees differ in nothing', async () => {
      const { fromId, toId } = await changed(edits);
      const { changes, tripwires } = await work.review(fromId, toId);
      expect(changes.map(({ path }) => path).filter((path) => !['gone', 'gone/deep', 'made'].includes(path))).toEqual([
        'edited',
        'gone/deep/file',
        'link',
        'made/new',
      ]);
      expect(tripwires).toEqual([]);
      expect(await work.review(toId, toId)).toEqual({ changes: [], tripwires: [] });
      expect((await work.review(null, fromId)).changes.map(({ change }) => change)).not.toContain('removed');
    });

    test('brings work into a directory, and finds it there when asked again', async () => {
      const request = await changed(edits);
      const result = await work.apply({ ...request, operationId: newId() });
      expect(result).toMatchObject({ applied: true, conflicts: [], refused: [], merged: [], present: [] });
      expect(bringsEdits).toEqual(expect.arrayContaining([...result.changed]));
      const shapes = (directory: string) => describeTree(directory).map((line) => line.replace(/ \d+:\d+ .*/, ''));
      expect(shapes(mine())).toEqual(shapes(inside()));
      const again = await work.apply({ ...request, operationId: newId() });
      expect(again).toMatchObject({ applied: true, changed: [] });
      expect(again.present).toEqual(expect.arrayContaining(['edited', 'link', 'made/new']));
    });

    test('work that goes on from what came before is brought in, beside what the user changed since', async () => {
      const first = await changed(edits);
      await work.apply({ ...first, operationId: newId() });
      writeFileSync(mine('made/new'), 'mine on top\n');
      writeFileSync(inside('edited'), 'one\ntwo\nthree\nfour\nfive\n');
      rmSync(inside('link'));
      writeFileSync(inside('later'), 'later\n');
      const toId = await opened.freeze(inside());
      const request = { ...first, toId, lastId: first.toId };
      expect(await work.apply({ ...request, lastId: null, operationId: newId() })).toMatchObject({ applied: false });
      const result = await work.apply({ ...request, operationId: newId() });
      expect(result).toMatchObject({ applied: true, conflicts: [], kept: ['made/new'] });
      expect(result.changed).toEqual(['edited', 'later', 'link']);
      expect(read('edited')).toBe('one\ntwo\nthree\nfour\nfive\n');
      expect(read('made/new')).toBe('mine on top\n');
      expect(existsSync(mine('link'))).toBe(false);
    });

    test('what was applied before and both sides changed since is a conflict, or merged from there', async () => {
      const first = await changed(edits);
      await work.apply({ ...first, operationId: newId() });
      writeFileSync(mine('edited'), 'theirs\ntwo\nthree\nfour\nmine\n');
      writeFileSync(inside('edited'), 'theirs twice\ntwo\nthree\nfour\nfive\n');
      const request = { ...first, toId: await opened.freeze(inside()), lastId: first.toId };
      expect(await work.apply({ ...request, operationId: newId() })).toMatchObject({ conflicts: [{ path: 'edited' }] });
      const result = await work.apply({ ...request, threeWay: true, operationId: newId() });
      expect(result).toMatchObject({ applied: true, merged: ['edited'] });
      expect(read('edited')).toBe('theirs twice\ntwo\nthree\nfour\nmine\n');
    });

    test('what the user took back to what was applied before the last stays so', async () => {
      const first = await changed(edits);
      await work.apply({ ...first, operationId: newId() });
      writeFileSync(inside('edited'), 'theirs twice\n');
      const second = { ...first, toId: await opened.freeze(inside()) };
      await work.apply({ ...second, lastId: first.toId, operationId: newId() });
      writeFileSync(mine('edited'), 'theirs\ntwo\nthree\nfour\nfive\n');
      writeFileSync(inside('later'), 'later\n');
      const third = { ...first, toId: await opened.freeze(inside()), lastId: second.toId };
      const result = await work.apply({ ...third, operationId: newId() });
      expect(result).toMatchObject({ applied: true, changed: ['later'], kept: ['edited'] });
      expect(read('edited')).toBe('theirs\ntwo\nthree\nfour\nfive\n');
    });

    test('nothing is applied into what git keeps of a repository, however that is named', async () => {
      const request = await changed(edits);
      run(mine(), 'init', '-q');
      run(mine(), 'init', '-q', '--bare', 'bare');
      symlinkSync('mine/.git', join(scratch, 'link'));
      const before = describeTree(mine());
      const denied = { code: 'OCT_POLICY_DENIED' };
      for (const directory of ['.git', '.git/hooks', 'bare', 'bare/refs/heads', '../link', '../link/objects']) {
        await expect(work.target(mine(directory))).rejects.toMatchObject(denied);
        await expect(
          work.apply({ ...request, directory: mine(directory), operationId: newId() }),
        ).rejects.toMatchObject(denied);
      }
      await expect(work.target('/etc')).rejects.toMatchObject(denied);
      expect(describeTree(mine())).toEqual(before);
      symlinkSync('mine', join(scratch, 'work tree'));
      expect(await work.target(join(scratch, 'work tree'))).toBe(mine());
    });

    test('what was applied and taken back by the user comes again', async () => {
      const first = await changed(edits);
      const before = read('edited');
      await work.apply({ ...first, operationId: newId() });
      writeFileSync(mine('edited'), before);
      const result = await work.apply({ ...first, lastId: first.toId, operationId: newId() });
      expect(result).toMatchObject({ applied: true, changed: ['edited'], kept: [] });
    });

    test('a dry run says what would be, and changes nothing', async () => {
      const request = await changed(edits);
      const before = describeTree(mine());
      expect(await work.apply({ ...request, operationId: null })).toMatchObject({ applied: false, conflicts: [] });
      expect(describeTree(mine())).toEqual(before);
    });

    test('what the user changed as well leaves everything as it is, and is named', async () => {
      const request = await changed(edits);
      writeFileSync(mine('edited'), 'mine\ntwo\nthree\nfour\nfive\n');
      const before = describeTree(mine());
      for (const threeWay of [false, true]) {
        const result = await work.apply({ ...request, threeWay, operationId: newId() });
        expect(result).toMatchObject({ applied: false, conflicts: [{ path: 'edited' }] });
        expect(describeTree(mine())).toEqual(before);
      }
    });

    test('lines that do not touch are merged when that is asked for', async () => {
      const request = await changed(edits);
      writeFileSync(mine('edited'), 'one\ntwo\nthree\nfour\nmine\n');
      expect(await work.apply({ ...request, operationId: newId() })).toMatchObject({ applied: false });
      const result = await work.apply({ ...request, threeWay: true, operationId: newId() });
      expect(result).toMatchObject({ applied: true, merged: ['edited'] });
      expect(read('edited')).toBe('theirs\ntwo\nthree\nfour\nmine\n');
    });

    test('a directory that is to give way stays while a file of the user is in it', async () => {
      const request = await changed(() => {
        rmSync(inside('gone'), { recursive: true });
        writeFileSync(inside('gone'), 'a file now');
      });
      writeFileSync(mine('gone/deep/mine'), 'mine\n');
      const result = await work.apply({ ...request, threeWay: true, operationId: newId() });
      expect(result).toMatchObject({ applied: false, conflicts: [{ path: 'gone' }] });
      expect(read('gone/deep/mine')).toBe('mine\n');
      expect(read('gone/deep/file')).toBe('gone\n');
    });

    test('what would run on the host comes once it is accepted by name', async () => {
      const request = await changed(() => {
        writeFileSync(inside('Makefile'), 'all:\n');
        chmodSync(inside('kept'), 0o755);
      });
      const refused = await work.apply({ ...request, operationId: newId() });
      expect(refused.applied).toBe(false);
      expect(refused.refused.map(({ path }) => path)).toEqual(['Makefile', 'kept']);
      expect(readdirSync(mine())).not.toContain('Makefile');
      const some = await work.apply({ ...request, accept: ['Makefile'], operationId: newId() });
      expect(some).toMatchObject({ applied: false, refused: [{ path: 'kept' }] });
      const all = { ...request, accept: ['Makefile', 'kept'] };
      expect(await work.apply({ ...all, operationId: null })).toMatchObject({ applied: false, refused: [] });
      expect(await work.apply({ ...all, operationId: newId() })).toMatchObject({ applied: true });
      expect(read('Makefile')).toBe('all:\n');
    });

    test('nothing is written through a link of the user, or into a .git', async () => {
      const outside = join(scratch, 'outside');
      mkdirSync(outside);
      const request = await changed(() => {
        mkdirSync(inside('there'));
        writeFileSync(inside('there/planted'), 'x');
        mkdirSync(inside('sub/.git'), { recursive: true });
        writeFileSync(inside('sub/.git/config'), '[core]\n\tfsmonitor = evil\n');
      });
      symlinkSync(outside, mine('there'));
      const accept = ['sub/.git/config', 'sub/.git'];
      const result = await work.apply({ ...request, accept, operationId: newId() });
      expect(result.applied).toBe(false);
      expect(result.conflicts.map(({ path }) => path)).toEqual(expect.arrayContaining(['there', 'sub/.git/config']));
      expect(readdirSync(outside)).toEqual([]);
    });

    test('a caller that has given up changes nothing', async () => {
      const request = await changed(edits);
      const before = describeTree(mine());
      const given = work.apply({ ...request, operationId: newId(), signal: AbortSignal.abort() });
      await expect(given).rejects.toMatchObject({ code: 'OCT_CANCELLED' });
      expect(describeTree(mine())).toEqual(before);
    });

    test('a change is known until it is forgotten, and settling one that ended changes nothing', async () => {
      const operationId = newId();
      expect(await work.settle(operationId)).toEqual({ outcome: 'none', left: [], saved: null });
      await work.apply({ ...(await changed(edits)), operationId });
      expect(await work.known()).toContain(operationId);
      const after = describeTree(mine());
      expect(await work.settle(operationId)).toMatchObject({ outcome: 'finished', left: [] });
      expect(await work.settle(operationId)).toMatchObject({ outcome: 'finished', left: [] });
      expect(describeTree(mine())).toEqual(after);
      await work.forget(operationId);
      await work.forget(operationId);
      expect(await work.known()).not.toContain(operationId);
    });

    describe('commits of a bundle', () => {
      /** The user's repository, and the bundle that a task with a clone of it hands over. */
      async function bundled(change: () => void) {
        mkdirSync(mine());
        writeFileSync(mine('edited'), 'one\ntwo\nthree\n');
        run(mine(), 'init', '-q', '-b', 'main');
        run(mine(), 'add', '.');
        run(mine(), 'commit', '-q', '-m', 'base');
        const base = run(mine(), 'rev-parse', 'HEAD').trim();
        run(scratch, 'clone', '-q', '--no-local', mine(), inside());
        change();
        run(inside(), 'add', '-A');
        run(inside(), 'commit', '-q', '-m', 'of the task');
        run(inside(), 'update-ref', 'refs/opencode-tools/out', 'HEAD');
        const file = join(scratch, 'bundle');
        run(inside(), 'bundle', 'create', '-q', file, 'refs/opencode-tools/out', `^${base}`);
        const receive = async (bytes = readFileSync(file)): Promise<OperationId> => {
          const operationId = newId();
          const sink = await work.receive(operationId);
          for (let at = 0; at < bytes.length; at += 100) await sink.write(bytes.subarray(at, at + 100));
          await sink.close();
          return operationId;
        };
        const tip = run(inside(), 'rev-parse', 'HEAD').trim();
        const request = { repository: mine(), base, into: false, accept: [], message: 'Work', dryRun: false };
        return { base, tip, file, receive, request };
      }
      const edit = (): void => writeFileSync(inside('edited'), 'theirs\ntwo\nthree\n');

      test('make a branch, and are found there when they come again', async () => {
        const { tip, receive, request } = await bundled(edit);
        expect(await work.branchTip(mine(), 'work')).toBeNull();
        const dry = await work.merge({ ...request, branch: 'work', operationId: await receive(), dryRun: true });
        expect(dry).toMatchObject({ merged: false, how: 'created', commit: tip, commits: 1, conflicts: [] });
        expect(await work.branchTip(mine(), 'work')).toBeNull();
        const made = await work.merge({ ...request, branch: 'work', operationId: await receive() });
        expect(made).toMatchObject({ merged: true, how: 'created', workTree: null });
        expect(await work.branchTip(mine(), 'work')).toBe(tip);
        const again = await work.merge({ ...request, branch: 'work', operationId: await receive() });
        expect(again).toMatchObject({ how: 'present', commits: 0 });
        expect(read('edited')).toBe('one\ntwo\nthree\n');
      });

      test('move a branch that is checked out together with its work tree, or neither', async () => {
        const { base, tip, receive, request } = await bundled(edit);
        writeFileSync(mine('edited'), 'mine\n');
        const refused = await work.merge({ ...request, branch: 'main', into: true, operationId: await receive() });
        expect(refused).toMatchObject({ merged: false, conflicts: [{ path: mine() }] });
        expect([await work.branchTip(mine(), 'main'), read('edited')]).toEqual([base, 'mine\n']);
        run(mine(), 'checkout', '-q', 'edited');
        const moved = await work.merge({ ...request, branch: 'main', into: true, operationId: await receive() });
        expect(moved).toMatchObject({ merged: true, how: 'forwarded', commit: tip, workTree: mine() });
        expect([await work.branchTip(mine(), 'main'), read('edited')]).toEqual([tip, 'theirs\ntwo\nthree\n']);
        expect(run(mine(), 'status', '--porcelain')).toBe('');
      });

      test('are made of what changed in the work tree of the user, once tripwires are accepted', async () => {
        await bundled(edit);
        writeFileSync(mine('edited'), 'mine\n');
        writeFileSync(mine('Makefile'), 'all:\n');
        const who = {
          directory: mine(),
          message: 'Mine',
          author: 'Ada <a@example.org>',
          dryRun: false,
        };
        const waiting = await work.commit({ ...who, accept: [], operationId: newId() });
        expect(waiting).toMatchObject({ committed: false, refused: [{ path: 'Makefile' }] });
        const made = await work.commit({ ...who, accept: ['Makefile'], operationId: newId() });
        expect(made).toMatchObject({ committed: true, branch: 'main', commit: await work.branchTip(mine(), 'main') });
        expect(run(mine(), 'status', '--porcelain')).toBe('');
        const none = await work.commit({ ...who, accept: [], operationId: newId() });
        expect(none).toMatchObject({ committed: false, commit: null, conflicts: [] });
      });

      test('are refused where the branch cannot be, where they were damaged, and where they would run on the host', async () => {
        const { base, file, receive, request } = await bundled(() => writeFileSync(inside('Makefile'), 'all:\n'));
        const main = { ...request, branch: 'main', into: true };
        const attempts = { '..': request, 'not there': { ...request, into: true } };
        for (const [branch, asked] of Object.entries(attempts)) {
          const given = work.merge({ ...asked, branch, operationId: await receive() });
          await expect(given).rejects.toMatchObject({ code: 'OCT_INVALID_ARGUMENT' });
        }
        const damaged = readFileSync(file);
        damaged.writeUInt8(damaged.readUInt8(damaged.length - 30) ^ 1, damaged.length - 30);
        const unsound = work.merge({ ...main, operationId: await receive(damaged) });
        await expect(unsound).rejects.toMatchObject({ code: 'OCT_INVALID_ARGUMENT' });
        const tripped = await work.merge({ ...main, operationId: await receive() });
        expect(tripped).toMatchObject({ merged: false, refused: [{ path: 'Makefile' }] });
        expect(await work.branchTip(mine(), 'main')).toBe(base);
        const accepted = await work.merge({ ...main, accept: ['Makefile'], operationId: await receive() });
        expect(accepted).toMatchObject({ merged: true });
        expect(read('Makefile')).toBe('all:\n');
      });
    });
  });
}
