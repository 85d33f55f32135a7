import { chownSync, mkdtempSync, readFileSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ServiceDependencies, TaskId } from '@opencode-tools/core';
import { describe, expect, test, vi } from 'vitest';
import { tester as call, useTestHome } from './support/test-home.ts';

describe('checkpoints of a volume on a real engine', () => {
  const bed = useTestHome();
  let ports: ServiceDependencies;

  const sh = (task: TaskId, script: string) =>
    bed.open.services.executions.run(task, { command: { kind: 'script', script } }, call);
  const isThere = async (imageId: string | undefined) =>
    imageId !== undefined && (await bed.open.images.find(imageId)) !== undefined;

  test('are compared with what lies in the home directory, and lose their image with the last that needs it', async () => {
    const { checkpoints, tasks } = bed.open.services;
    const task = await tasks.create({ title: 'images', image: bed.home.image }, call);
    await sh(task.id, 'echo one >file; echo h >/home/agent/mine; echo 1 >/opt/tool');
    const first = await checkpoints.create(task.id, { name: 'first' }, call);
    await sh(task.id, 'echo two >>file; rm /home/agent/mine; echo 2 >/opt/tool');
    const second = await checkpoints.create(task.id, { name: 'second' }, call);
    expect(await checkpoints.compare(task.id, 'first', 'second')).toMatchObject({
      workspace: [{ path: 'file', change: 'modified', from: { sizeBytes: 4 }, to: { sizeBytes: 8 } }],
      home: [{ path: 'mine', change: 'deleted' }],
      rootDiffers: true,
    });
    expect(await checkpoints.check(task.id)).toMatchObject([{ damage: [] }, { damage: [] }]);
    await sh(task.id, 'echo 3 >/opt/tool');
    const fork = await tasks.fork(task.id, { checkpoint: 'second' }, call);
    await checkpoints.create(task.id, { name: 'third' }, call);
    expect(await Promise.all([first, second].map(({ root }) => isThere(root?.imageId)))).toEqual([true, true]);
    for (const name of ['first', 'second']) await checkpoints.delete(task.id, name, {}, call);
    expect(await Promise.all([first, second].map(({ root }) => isThere(root?.imageId)))).toEqual([false, true]);
    expect((await sh(fork.id, 'cat file /opt/tool')).stdout.text).toBe('one\ntwo\n2\n');
    expect(
      (await bed.open.services.doctor.run(call)).findings.filter(({ severity }) => severity === 'problem'),
    ).toEqual([]);
    expect((await sh(fork.id, 'cat /opt/tool')).stdout.text).toBe('2\n');
  });

  test('are not taken again where nothing changed, when that is asked for', async () => {
    const { checkpoints, tasks } = bed.open.services;
    const task = await tasks.create({ title: 'unchanged', image: bed.home.image }, call);
    const ifChanged = (name: string, key = name) =>
      checkpoints.create(task.id, { name, ifChanged: true }, { ...call, idempotencyKey: `unchanged-${key}` });
    await sh(task.id, 'echo one >file');
    const first = await ifChanged('first');
    expect(first).not.toHaveProperty('unchanged');
    const again = await ifChanged('again');
    expect(again).toEqual({ ...first, unchanged: true });
    expect(await ifChanged('again')).toEqual(again);
    for (const [name, script] of [
      ['workspace', 'echo two >file'],
      ['home', 'echo x >/home/agent/x'],
      ['root', 'echo tool >/opt/tool'],
    ] as const) {
      await sh(task.id, script);
      expect(await ifChanged(name)).not.toHaveProperty('unchanged');
    }
    expect((await checkpoints.list(task.id)).map(({ name }) => name)).toEqual(['root', 'home', 'workspace', 'first']);
  });

  test('hold what changed in the root file system between a look at it and the pause', async () => {
    const open = await bed.home.open({ decorate: (given) => (ports = given) });
    const { checkpoints, tasks, executions } = open.services;
    const task = await tasks.create({ title: 'at once', image: bed.home.image }, call);
    const run = (script: string) => executions.run(task.id, { command: { kind: 'script', script } }, call);
    await run('echo one >file');
    expect(await checkpoints.create(task.id, { name: 'untouched' }, call)).toMatchObject({ root: { changedPaths: 0 } });
    const { ref } = (await ports.tasks.findSandbox(task.id)) ?? {};
    const handle = await ports.runtime.find(ref ?? '');
    if (handle === undefined) throw new Error('There is no sandbox');
    await run('echo tool >/opt/tool; echo two >file');
    const look = vi.spyOn(handle, 'rootIsUntouched').mockResolvedValueOnce(true);
    const taken = await checkpoints.create(task.id, { name: 'touched' }, call);
    expect(taken.root?.changedPaths).toBeGreaterThan(0);
    expect(look).toHaveBeenCalledTimes(2);
    look.mockRestore();
    const fork = await tasks.fork(task.id, { checkpoint: 'touched' }, call);
    const script = 'cat file /opt/tool';
    const ran = await executions.run(fork.id, { command: { kind: 'script', script } }, call);
    expect(ran.stdout.text).toBe('two\ntool\n');
    await open.close();
  });

  test('of a workspace without content give it back to its user', async () => {
    const { id } = await bed.open.services.tasks.create({ title: 'empty', image: bed.home.image }, call);
    const { id: empty } = await bed.open.services.checkpoints.create(id, { name: 'empty' }, call);
    await sh(id, 'mkdir made');
    await bed.open.services.checkpoints.restore(id, empty, {}, call);
    expect((await sh(id, 'ls; touch mine && stat -c "%a %u %g" . && ls')).stdout.text).toBe('755 1000 1000\nmine\n');
  });

  test('go by the policy of the configuration when a resident process has kept house for an hour', async () => {
    let aheadMs = 0;
    const keeper = await bed.home.open({
      clock: { nowMs: () => Date.now() + aheadMs },
      environment: { ...process.env, OPENCODE_TOOLS_CHECKPOINTS_MAX_PER_TASK: '1' },
    });
    const { checkpoints, tasks, housekeeper } = keeper.services;
    const task = await tasks.create({ title: 'kept house', image: bed.home.image }, call);
    for (const name of ['one', 'two']) {
      await sh(task.id, `echo ${name} >file`);
      await checkpoints.create(task.id, { name }, call);
    }
    expect(await housekeeper.turn()).toMatchObject({ held: true, pruned: null });
    aheadMs = 61 * 60_000;
    const { pruned } = await housekeeper.turn();
    expect(pruned?.removed.filter(({ checkpoint }) => checkpoint.taskId === task.id)).toMatchObject([
      { checkpoint: { name: 'one' }, rule: 'number' },
    ]);
    expect((await housekeeper.turn()).pruned).toBeNull();
    expect((await checkpoints.list(task.id)).map(({ name }) => name)).toEqual(['two']);
    await keeper.close();
  });

  test('go by a file from a volume into a directory of the host and back, with files that the sandbox may write', async () => {
    const { checkpoints, tasks } = bed.open.services;
    const from = await tasks.create({ title: 'from a volume', image: bed.home.image }, call);
    await sh(
      from.id,
      'mkdir -p src; printf "main\\n" >src/main; ln -s main src/link; chmod 750 src; echo mine >/home/agent/mine',
    );
    await checkpoints.create(from.id, { name: 'travels' }, call);
    const place = realpathSync(mkdtempSync(join(tmpdir(), 'oct-imported-')));
    try {
      if (process.getuid?.() === 0) chownSync(place, 4_321, 5_432);
      const to = await tasks.create(
        { title: 'bound', image: bed.home.image, workspace: { kind: 'bind', path: place } },
        call,
      );
      const { stream } = await checkpoints.export(from.id, 'travels', {}, call);
      await checkpoints.import(to.id, stream, {}, call);
      await checkpoints.restore(to.id, 'travels', {}, call);
      expect(readFileSync(join(place, 'src/link'), 'utf8')).toBe('main\n');
      expect((await sh(to.id, 'echo more >>src/main; cat src/main')).stdout.text).toBe('main\nmore\n');
      await checkpoints.create(to.id, { name: 'back' }, call);
      await checkpoints.import(from.id, (await checkpoints.export(to.id, 'back', {}, call)).stream, {}, call);
      await checkpoints.restore(from.id, 'back', {}, call);
      expect((await sh(from.id, 'echo again >>src/main; cat src/main')).stdout.text).toBe('main\nmore\nagain\n');
      await tasks.delete(to.id, {}, call);
    } finally {
      rmSync(place, { recursive: true, force: true });
    }
  });

  test('take what was installed into the root file system along, to whoever asks for it', async () => {
    const { checkpoints, tasks, ledger } = bed.open.services;
    const from = await tasks.create({ title: 'installed', image: bed.home.image }, call);
    await sh(from.id, 'echo one >/opt/first; echo w >work');
    await checkpoints.create(from.id, { name: 'earlier' }, call);
    await sh(from.id, 'rm /opt/first; echo two >/opt/second');
    const gone = await checkpoints.create(from.id, { name: 'travels' }, call);
    const exported = async (options: { readonly root?: boolean }) => {
      const { stream, root } = await checkpoints.export(from.id, 'travels', options, call);
      const parts: Uint8Array[] = [];
      for await (const part of stream) parts.push(part);
      return { root, bytes: Buffer.concat(parts) };
    };
    const [whole, without] = [await exported({}), await exported({ root: false })];
    expect([whole.root, without.root]).toEqual(['included', 'left-out']);
    await tasks.delete(from.id, {}, call);
    for (const { id } of await checkpoints.list(from.id)) await checkpoints.delete(from.id, id, {}, call);
    expect(await isThere(gone.root?.imageId)).toBe(false);

    const to = await tasks.create({ title: 'takes in', image: bed.home.image }, call);
    const take = async (bytes: Buffer, name: string, root: boolean) => {
      async function* stream() {
        yield bytes;
      }
      return checkpoints.import(to.id, stream(), { name, root }, call);
    };
    expect(await take(whole.bytes, 'careful', false)).toMatchObject({ rootLeftOut: true, checkpoint: { root: null } });
    expect(await take(without.bytes, 'less', true)).toMatchObject({ rootLeftOut: false, checkpoint: { root: null } });
    const { checkpoint } = await take(whole.bytes, 'all', true);
    expect(checkpoint.root).toMatchObject({ changedPaths: gone.root?.changedPaths });
    expect(await checkpoints.check(to.id, 'all')).toMatchObject([{ damage: [] }]);
    const records = await ledger.history(to.id, { types: ['checkpoint.imported'] });
    expect(records.filter(({ payload }) => payload?.includes(gone.id))).toHaveLength(3);
    await checkpoints.restore(to.id, 'all', {}, call);
    expect((await sh(to.id, 'ls /opt; cat /opt/second work')).stdout.text).toBe('second\ntwo\nw\n');
    const facts = await bed.open.images.find(checkpoint.root?.imageId ?? '');
    expect(facts?.labels).toMatchObject({ 'io.opencode-tools.task': to.id, 'io.opencode-tools.kind': 'root' });

    const damaged = Buffer.from(whole.bytes);
    damaged.writeUInt8(damaged.readUInt8(damaged.length - 4_000) ^ 1, damaged.length - 4_000);
    await expect(take(damaged, 'bad', true)).rejects.toMatchObject({ code: 'OCT_INVALID_ARGUMENT' });
    await tasks.delete(to.id, {}, call);

    for (const { id } of await checkpoints.list(to.id)) await checkpoints.delete(to.id, id, {}, call);

    expect(await isThere(checkpoint.root?.imageId)).toBe(false);
  });

  test('are taken unasked after a major todo, at an interval and at the last detach, when something changed', async () => {
    let aheadMs = 0;
    const keeper = await bed.home.open({
      clock: { nowMs: () => Date.now() + aheadMs },
      environment: {
        ...process.env,
        OPENCODE_TOOLS_CHECKPOINTS_EVERY: '10m',
        OPENCODE_TOOLS_CHECKPOINTS_ON_DETACH: 'true',
        OPENCODE_TOOLS_CHECKPOINTS_DEBOUNCE: '1m',
      },
    });
    const { checkpoints, tasks, journal, executions, monitor, sessions } = keeper.services;
    const task = await tasks.create({ title: 'unasked', image: bed.home.image }, call);
    const { session } = await sessions.attach(task.id, { agent: 'ada' }, call);
    const under = { sessionId: session.id };
    const run = (script: string) => executions.run(task.id, { command: { kind: 'script', script }, ...under }, call);
    const names = async () => (await checkpoints.list(task.id)).map(({ name }) => name.replace(/ 20.*/, ''));
    const [major, again, minor] = await Promise.all(
      [true, true, false].map((isMajor, index) =>
        journal.addTodo(task.id, { text: `part ${index}`, major: isMajor, ...under }, call),
      ),
    );
    const done = (id: typeof major | undefined) =>
      journal.setTodo(task.id, id?.id ?? ('' as never), { state: 'done', ...under }, call);
    await run('echo 1 >file');
    await done(minor);
    expect(await names()).toEqual([]);
    await done(major);
    expect(await names()).toEqual(['done: part 0']);
    await run('echo 2 >file');
    await done(again);
    expect(await names()).toHaveLength(1);
    const round = () => monitor.round({ keptAlive: new Set([session.id]) });
    await round();
    aheadMs = 11 * 60_000;
    await round();
    expect(await names()).toEqual(['at work', 'done: part 0']);
    aheadMs = 22 * 60_000;
    await round();
    expect(await names()).toHaveLength(2);
    await run('echo 3 >file');
    await sessions.detach(session.id, {}, call);
    expect(await names()).toEqual(['detached', 'at work', 'done: part 0']);
    expect(
      (
        await checkpoints.compare(
          task.id,
          (await checkpoints.list(task.id))[1]?.id ?? '',
          (await checkpoints.list(task.id))[0]?.id ?? '',
        )
      ).workspace,
    ).toMatchObject([{ path: 'file' }]);
    await keeper.close();
  });
});
