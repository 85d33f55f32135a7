import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Checkpoint, CheckpointService, Task } from '@opencode-tools/core';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type EnginelessHome, callBy, createEnginelessHome } from './support/home-without-engine.ts';

const call = callBy('ada');
let home: EnginelessHome;
let checkpoints: CheckpointService;
let base: string;
let project: string;
let task: Task;

beforeEach(async () => {
  home = await createEnginelessHome();
  ({ checkpoints } = home.open.services);
  base = realpathSync(mkdtempSync(join(tmpdir(), 'oct-checkpoints-')));
  project = join(base, 'project');
  mkdirSync(project);
  if (process.getuid?.() === 0) chownSync(project, 4_321, 5_432);
  writeFileSync(join(project, 'kept'), 'kept');
  task = await home.create({ workspace: { kind: 'bind', path: project } });
});
afterEach(async () => {
  await home.remove();
  rmSync(base, { recursive: true, force: true });
});

const write = (name: string): void => writeFileSync(join(project, name), name);
const take = (name: string): Promise<Checkpoint> => checkpoints.create(task.id, { name }, call);

test('two checkpoints are compared file by file, by name or id, in either direction', async () => {
  writeFileSync(join(project, 'gone'), 'gone');
  const first = await take('first');
  rmSync(join(project, 'gone'));
  writeFileSync(join(project, 'new'), 'new');
  chmodSync(join(project, 'kept'), 0o600);
  const second = await take('second');
  const comparison = await checkpoints.compare(task.id, 'first', second.id);
  expect(comparison).toMatchObject({ from: { id: first.id }, to: { id: second.id }, home: [], rootDiffers: false });
  expect(comparison.workspace).toMatchObject([
    { path: 'gone', change: 'deleted', from: { kind: 'file', sizeBytes: 4 }, to: null },
    { path: 'kept', change: 'modified', from: { mode: 0o644 }, to: { mode: 0o600 } },
    { path: 'new', change: 'added', from: null, to: { kind: 'file', sizeBytes: 3 } },
  ]);
  const back = await checkpoints.compare(task.id, 'second', 'first');
  expect(back.workspace.map(({ change }) => change)).toEqual(['added', 'modified', 'deleted']);
  expect((await checkpoints.compare(task.id, 'second', 'second')).workspace).toEqual([]);
  await expect(checkpoints.compare(task.id, 'first', 'third')).rejects.toMatchObject({
    code: 'OCT_CHECKPOINT_NOT_FOUND',
  });
});

test('what is not in a checkpoint is told, and left alone by a restore', async () => {
  const told: string[] = [];
  const asking = { ...call, onProgress: (message: string) => void told.push(message) };
  execFileSync('bash', [
    '-euc',
    'cd "$0"; mkdir d; mkfifo pipe d/pipe; p=$(printf "d%.0s" {1..100}); for i in {1..60}; do mkdir $p; cd -P $p; done',
    project,
  ]);
  const first = await checkpoints.create(task.id, { name: 'first' }, asking);
  const [deep, special] = ['1 path in the workspace longer ', '2 paths in the workspace that are a socket, '];
  expect(first.notices).toEqual([expect.stringContaining(deep), expect.stringContaining(special)]);
  expect(told.join('\n')).toContain(
    '1 path in the workspace longer than 3840 bytes, with all below, is not in the checkpoint',
  );
  expect(told.join('\n')).toContain(
    '2 paths in the workspace that are a socket, pipe or device are not in the checkpoint; the first: d/pipe',
  );
  expect(Math.max(...told.map(({ length }) => length))).toBeLessThan(1_000);
  write('later');
  const restored = await checkpoints.restore(task.id, 'first', {}, call);
  expect(restored.notices).toEqual(first.notices);
  expect(
    readdirSync(project)
      .filter((name) => name.length < 9)
      .toSorted(),
  ).toEqual(['d', 'kept', 'pipe']);
  expect(existsSync(join(project, 'd/pipe'))).toBe(true);
  await home.open.services.tasks.delete(task.id, {}, call);
  execFileSync('rm', ['-rf', project]);
});

test('a checkpoint whose snapshot file is missing is damaged, not unknown', async () => {
  const first = await take('first');
  write('later');
  rmSync(join(home.open.directory, 'content/snapshots', `${first.workspace?.id}.manifest`));
  await expect(checkpoints.restore(task.id, 'first', {}, call)).rejects.toMatchObject({
    code: 'OCT_CHECKPOINT_CORRUPT',
    remedy: expect.stringContaining(`checkpoints verify ${task.id}`) as string,
  });
});

test('a directory that is not there, or is empty at once, as of a disk that is not mounted, is told', async () => {
  const told: string[] = [];
  const watched = { ...call, onProgress: (message: string) => void told.push(message) };
  const warnings = () => told.splice(0).filter((message) => message.includes(project));
  const takeWatched = (name: string) => checkpoints.create(task.id, { name }, watched);
  const first = await takeWatched('first');
  expect(warnings()).toEqual([]);
  renameSync(project, `${project}-elsewhere`);
  expect(await takeWatched('gone')).toMatchObject({ workspace: { digest: first.workspace?.digest } });
  expect(warnings()).toEqual([
    expect.stringMatching(/is not there. The checkpoint has it as of the last one. .* mount that/),
  ]);
  mkdirSync(project);
  await takeWatched('empty');
  expect(warnings()).toEqual([expect.stringMatching(/is empty, which had 2 entries .* mount that/)]);
  await takeWatched('still empty');
  expect(warnings()).toEqual([]);
  rmSync(project, { recursive: true });
  renameSync(`${project}-elsewhere`, project);
  const records = await home.open.services.ledger.history(task.id, { types: ['checkpoint.completed'] });
  expect(records.filter(({ payload }) => payload?.includes('mount that'))).toHaveLength(2);
  expect(await takeWatched('there again')).toMatchObject({ workspace: { digest: first.workspace?.digest } });
  expect(warnings()).toEqual([]);
});

test('a check names the snapshot and the path that are damaged, and which checkpoints that concerns', async () => {
  await take('sound');
  writeFileSync(join(project, 'secret-plan'), 'a plan of many words');
  const hurt = await take('hurt');
  const told: string[] = [];
  const onProgress = (message: string): void => void told.push(message);
  expect((await checkpoints.check(task.id, undefined, { onProgress })).map(({ damage }) => damage)).toEqual([[], []]);
  expect(told).toEqual(['reading checkpoint 1 of 2', 'reading checkpoint 2 of 2']);
  const signal = AbortSignal.abort();
  await expect(checkpoints.check(task.id, undefined, { signal })).rejects.toMatchObject({ code: 'OCT_CANCELLED' });
  damage('a plan of many words');
  const [newest, oldest] = await checkpoints.check(task.id);
  expect(newest).toMatchObject({
    checkpoint: { id: hurt.id },
    damage: [{ part: 'workspace', object: hurt.workspace?.id, message: expect.stringContaining('secret-plan') }],
  });
  expect(oldest).toMatchObject({ checkpoint: { name: 'sound' }, damage: [] });
  expect(await checkpoints.check(task.id, 'sound')).toHaveLength(1);
  await expect(checkpoints.verify(hurt.id)).rejects.toMatchObject({
    code: 'OCT_CHECKPOINT_CORRUPT',
    details: { part: 'workspace', object: hurt.workspace?.id },
  });
});

test('a tag leads to one checkpoint, keeps it, and goes with a word', async () => {
  const first = await take('first');
  write('a');
  await take('second');
  const tagged = await checkpoints.tag(task.id, 'first', 'v1.0', {}, call);
  expect(tagged.tags).toEqual(['v1.0']);
  expect((await checkpoints.get(task.id, 'v1.0')).id).toBe(first.id);
  await expect(checkpoints.tag(task.id, 'second', 'v1.0', {}, call)).rejects.toMatchObject({
    code: 'OCT_INVALID_ARGUMENT',
    remedy: expect.stringContaining('untag'),
  });
  for (const tag of ['', 'a b', '-x', '0123456a', first.id, 'x'.repeat(61)]) {
    await expect(checkpoints.tag(task.id, 'second', tag, {}, call)).rejects.toMatchObject({
      code: 'OCT_INVALID_ARGUMENT',
    });
  }
  const refused = { code: 'OCT_POLICY_DENIED', remedy: expect.stringContaining('untag') };
  await expect(checkpoints.delete(task.id, 'first', {}, call)).rejects.toMatchObject(refused);
  expect((await checkpoints.check(task.id, 'first'))[0]?.damage).toEqual([]);
  await checkpoints.untag(task.id, 'v1.0', {}, call);
  await expect(checkpoints.untag(task.id, 'v1.0', {}, call)).rejects.toMatchObject({
    code: 'OCT_CHECKPOINT_NOT_FOUND',
  });
  await checkpoints.pin(task.id, 'first', true, {}, call);
  await expect(checkpoints.delete(task.id, 'first', { dryRun: true }, call)).rejects.toMatchObject({
    code: 'OCT_POLICY_DENIED',
    remedy: expect.stringContaining('unpin'),
  });
  await checkpoints.pin(task.id, 'first', false, {}, call);
  await checkpoints.delete(task.id, 'first', {}, call);
  expect((await checkpoints.list(task.id)).map(({ name }) => name)).toEqual(['second']);
});

test('a tag hides no name of another checkpoint, whichever was there first', async () => {
  const first = await take('n1');
  write('new');
  const second = await take('n2');
  await expect(checkpoints.tag(task.id, 'n1', 'n2', {}, call)).rejects.toMatchObject({
    code: 'OCT_INVALID_ARGUMENT',
    details: { argument: 'tag', checkpointId: second.id },
  });
  expect((await checkpoints.tag(task.id, 'n1', 'n1', {}, call)).tags).toEqual(['n1']);
  await checkpoints.tag(task.id, 'n1', 'rel', {}, call);
  const named = await take('rel');
  await expect(checkpoints.restore(task.id, 'rel', {}, call)).rejects.toMatchObject({
    code: 'OCT_CHECKPOINT_NOT_FOUND',
    remedy: expect.stringContaining(first.id),
    details: { candidates: expect.arrayContaining([first.id, named.id]) },
  });
  expect((await checkpoints.tag(task.id, first.id, 'rel', {}, call)).tags).toEqual(['n1', 'rel']);
  expect((await checkpoints.untag(task.id, 'rel', {}, call)).id).toBe(first.id);
  expect((await checkpoints.get(task.id, 'rel')).id).toBe(named.id);
});

test('tags given at once by several callers are all there', async () => {
  const first = await take('first');
  const other = await home.openAgain();
  const tags = ['a', 'b', 'c', 'd'];
  const given = await Promise.allSettled(
    tags.map((tag, index) =>
      (index % 2 === 0 ? checkpoints : other.services.checkpoints).tag(task.id, first.id, tag, {}, call),
    ),
  );
  const done = tags.filter((_, index) => given[index]?.status === 'fulfilled');
  expect(done.length).toBeGreaterThan(0);
  expect((await checkpoints.get(task.id, first.id)).tags).toEqual(done);
});

test('a deletion leaves its record, and refuses the newest; a repeated call with its key deletes once', async () => {
  const first = await take('first');
  write('a');
  const second = await take('second');
  await expect(checkpoints.delete(task.id, second.id, {}, call)).rejects.toMatchObject({
    code: 'OCT_POLICY_DENIED',
    remedy: expect.stringContaining('another checkpoint'),
  });
  expect(await checkpoints.delete(task.id, 'first', { dryRun: true }, call)).toMatchObject({ dryRun: true });
  const keyed = { ...call, idempotencyKey: `delete-${first.id}` };
  const deleted = await checkpoints.delete(task.id, 'first', {}, keyed);
  expect(deleted).toMatchObject({ dryRun: false, checkpoint: { id: first.id } });
  expect(await checkpoints.delete(task.id, 'first', {}, keyed)).toEqual(deleted);
  await expect(checkpoints.get(task.id, 'first')).rejects.toMatchObject({ code: 'OCT_CHECKPOINT_NOT_FOUND' });
  const [record] = await home.open.services.ledger.history(task.id, { types: ['checkpoint.deleted'] });
  expect(record?.payload).toContain(first.manifestDigest);
  expect((await home.open.services.ledger.verify(task.id)).ok).toBe(true);
  await home.ports.memory.project();
  const memory = join(home.ports.memory.directory(task.id), 'checkpoints');
  const files = readdirSync(memory.startsWith('/') ? memory : join(home.open.directory, memory));
  expect(files).toEqual([second.id]);
});

test('a fork keeps what it began with when the first task deletes its checkpoint and the store is collected', async () => {
  write('work');
  const first = await take('first');
  write('later');
  await take('second');
  const fork = await home.open.services.tasks.fork(task.id, { checkpoint: 'first' }, call);
  await checkpoints.delete(task.id, 'first', {}, call);
  await home.ports.workspaces.collect(async () => {
    const all = await home.ports.checkpoints.listAll();
    return new Set(all.flatMap(({ workspace }) => (workspace === null ? [] : [workspace.id])));
  });
  const [own, ...more] = await checkpoints.list(fork.id);
  expect(more).toEqual([]);
  expect(own).toMatchObject({ taskId: fork.id, parentId: first.id, workspace: { id: first.workspace?.id } });
  expect(fork).toMatchObject({ headCheckpointId: own?.id, forkedFrom: { checkpointId: first.id } });
  expect(await checkpoints.check(fork.id)).toMatchObject([{ damage: [] }]);
  await expect(home.open.services.tasks.fork(task.id, { checkpoint: first.id }, call)).rejects.toMatchObject({
    code: 'OCT_CHECKPOINT_NOT_FOUND',
  });
});

test('a checkpoint that somebody deletes before its restore begins is not restored', async () => {
  const racing = await createEnginelessHome(({ hooks }) => ({
    hooks: {
      listens: (point) => point === 'checkpoint:restoring' || hooks.listens(point),
      run: async (context) => {
        if (context.point !== 'checkpoint:restoring') return hooks.run(context);
        await racing.open.services.checkpoints.delete(context.task.id, 'first', {}, callBy('bob'));
        return [];
      },
    },
  }));
  try {
    const own = racing.open.services;
    const { id } = await racing.create({ workspace: { kind: 'bind', path: project } });
    await own.checkpoints.create(id, { name: 'first' }, call);
    write('later');
    const second = await own.checkpoints.create(id, { name: 'second' }, call);
    await expect(own.checkpoints.restore(id, 'first', {}, call)).rejects.toMatchObject({
      code: 'OCT_VERSION_CONFLICT',
    });
    expect(readdirSync(project)).toContain('later');
    expect((await racing.ports.tasks.getTask(id)).headCheckpointId).toBe(second.id);
  } finally {
    await racing.remove();
  }
});

test('what a checkpoint takes is told apart: alone, and with others of any task', async () => {
  writeFileSync(join(project, 'large'), 'x'.repeat(100_000));
  await take('with');
  rmSync(join(project, 'large'));
  await take('without');
  const [without, withLarge] = await checkpoints.usage(task.id);
  expect(without).toMatchObject({ checkpoint: { name: 'without' } });
  expect(without?.bytes).toBe((without?.ownBytes ?? 0) + (without?.sharedBytes ?? 0));
  expect(without?.ownBytes).toBeLessThan(2_000);
  expect(withLarge?.ownBytes).toBeGreaterThan(100_000);
  expect(withLarge?.sharedBytes).toBeGreaterThan(0);
  await home.open.services.tasks.fork(task.id, { checkpoint: 'with' }, call);
  const [, shared] = await checkpoints.usage(task.id);
  expect(shared).toMatchObject({ bytes: withLarge?.bytes, ownBytes: 0, sharedBytes: withLarge?.bytes });
});

test('pruning deletes by the rules, keeps what is kept, says so before, and gives the space back later', async () => {
  for (const name of ['one', 'two', 'three', 'four']) {
    writeFileSync(join(project, name), name.repeat(30_000));
    await take(name);
    rmSync(join(project, name));
  }
  await checkpoints.tag(task.id, 'one', 'keep', {}, call);
  const policy = { maxPerTask: 2 };
  const names = async () => (await checkpoints.list(task.id)).map(({ name }) => name);
  const dry = await checkpoints.prune(task.id, { dryRun: true, policy }, call);
  expect(dry).toMatchObject({ dryRun: true, collected: null, left: [] });
  expect(dry.removed.map(({ checkpoint, rule }) => [checkpoint.name, rule])).toEqual([
    ['two', 'number'],
    ['three', 'number'],
  ]);
  expect(await names()).toHaveLength(4);
  const pruned = await checkpoints.prune(undefined, { dryRun: false, policy }, call);
  expect(pruned.removed.map(({ checkpoint }) => checkpoint.id)).toEqual(
    dry.removed.map(({ checkpoint }) => checkpoint.id),
  );
  expect(await names()).toEqual(['four', 'one']);
  const [record] = await home.open.services.ledger.history(task.id, { types: ['checkpoint.deleted'] });
  expect(record?.payload).toContain('retention: number');
  expect(await checkpoints.check(task.id)).toMatchObject([{ damage: [] }, { damage: [] }]);
});

test('a budget counts what the checkpoints of a task take beside other tasks, newest first', async () => {
  for (const name of ['one', 'two', 'three']) {
    writeFileSync(join(project, name), name.repeat(30_000));
    await take(name);
    rmSync(join(project, name));
  }
  const prune = (budgetBytes: number) =>
    checkpoints.prune(task.id, { dryRun: true, policy: { budgetBytes, maxPerTask: 0 } }, call);
  expect((await prune(1_000_000)).removed).toEqual([]);
  expect((await prune(250_000)).removed).toMatchObject([{ checkpoint: { name: 'one' }, rule: 'budget' }]);
  expect((await prune(1)).removed).toHaveLength(2);
});

test('a checkpoint goes to another home in one file, and is restored there as the other user', async () => {
  mkdirSync(join(project, 'src'));
  writeFileSync(join(project, 'src/main.ts'), 'main');
  if (process.getuid?.() === 0) for (const name of ['src', 'src/main.ts']) chownSync(join(project, name), 4_321, 5_432);
  const first = await take('travels');
  const { stream, root } = await checkpoints.export(task.id, 'travels', {}, call);
  expect(root).toBe('unchanged');
  const bytes = await collected(stream);
  const other = await createEnginelessHome();
  try {
    const place = join(base, 'other');
    mkdirSync(place);
    writeFileSync(join(place, 'here'), 'here before');
    if (process.getuid?.() === 0) chownSync(place, 1_234, 2_345);
    const { id } = await other.create({ workspace: { kind: 'bind', path: place } });
    const there = other.open.services.checkpoints;
    const { checkpoint: imported } = await there.import(id, chunks(bytes), {}, call);
    expect(imported).toMatchObject({
      taskId: id,
      parentId: null,
      name: 'travels',
      root: null,
      tags: [],
      pinned: false,
    });
    expect(await there.check(id)).toMatchObject([{ damage: [] }]);
    const [record] = await other.open.services.ledger.history(id, { types: ['checkpoint.imported'] });
    expect(record?.payload).toContain(first.id);
    expect(readdirSync(place)).toContain('here');
    await there.restore(id, 'travels', {}, call);
    expect(readFileSync(join(place, 'src/main.ts'), 'utf8')).toBe('main');
    expect(readdirSync(place)).not.toContain('here');
    if (process.getuid?.() === 0)
      expect(statSync(join(place, 'src/main.ts'))).toMatchObject({ uid: 1_234, gid: 2_345 });
    const { checkpoint: again } = await there.import(id, chunks(bytes), { name: 'again' }, call);
    expect(again).toMatchObject({ name: 'again', workspace: { id: imported.workspace?.id } });
    const newer = Buffer.from(bytes.toString('latin1').replace('"version":1', '"version":3'), 'latin1');
    await expect(there.import(id, chunks(newer), {}, call)).rejects.toMatchObject({
      code: 'OCT_SCHEMA_TOO_NEW',
      remedy: expect.stringContaining('Update'),
    });
    for (const bad of [bytes.subarray(0, 4_000), Buffer.from('no tar'), Buffer.alloc(10_240)]) {
      await expect(there.import(id, chunks(bad), {}, call)).rejects.toMatchObject({ code: 'OCT_INVALID_ARGUMENT' });
    }
    expect((await there.list(id)).map(({ name }) => name)).toContain('again');
  } finally {
    await other.remove();
  }
});

async function collected(stream: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  for await (const bytes of stream) parts.push(bytes);
  return Buffer.concat(parts);
}

async function* chunks(bytes: Buffer): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += 1_000) yield bytes.subarray(at, at + 1_000);
}

test('nothing is collected by a registry that is young, or does not know a task or checkpoint that has files', async () => {
  const first = await take('first');
  write('later');
  await take('second');
  await checkpoints.delete(task.id, 'first', {}, call);
  await home.ports.memory.project();
  const manifest = join(home.open.directory, 'content', 'snapshots', `${first.workspace?.id}.manifest`);
  const prune = async () => {
    if (existsSync(manifest)) utimesSync(manifest, 1, 1);
    return (await checkpoints.prune(undefined, { dryRun: false }, call)).collected;
  };
  expect(await prune()).toMatchObject({ snapshots: 0, unknown: [] });
  home.clock.move(61 * 60_000);
  const tasks = join(home.open.directory, 'tasks');
  const strangers = ['tsk_00000000000000000000000001', `${task.id}/checkpoints/chk_00000000000000000000000001`];
  for (const stranger of strangers) {
    mkdirSync(join(tasks, stranger));
    expect(await prune()).toMatchObject({ snapshots: 0, unknown: [stranger.split('/').at(-1)] });
    rmSync(join(tasks, stranger), { recursive: true });
  }
  expect(existsSync(manifest)).toBe(true);
  expect(await prune()).toMatchObject({ snapshots: 1, unknown: [] });
  expect(existsSync(manifest)).toBe(false);
  expect(await checkpoints.check(task.id)).toMatchObject([{ damage: [] }]);
});

/** Changes a byte of the stored file that has this content. */
function damage(content: string): void {
  const packs = join(home.open.directory, 'content', 'packs');
  for (const name of readdirSync(packs)) {
    const bytes = readFileSync(join(packs, name));
    const at = bytes.indexOf(content);
    if (at === -1) continue;
    bytes[at] = 0;
    writeFileSync(join(packs, name), bytes);
  }
}
