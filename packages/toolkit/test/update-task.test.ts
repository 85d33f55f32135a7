import type { Task, UpdateTask } from '@opencode-tools/core';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type EnginelessHome, callBy, createEnginelessHome } from './support/home-without-engine.ts';

const ada = callBy('ada');

describe('changing what a task says about itself', () => {
  let home: EnginelessHome;
  let task: Task;
  beforeEach(async () => {
    home = await createEnginelessHome();
    task = await home.create({ labels: { area: 'core', kind: 'bug' }, owner: 'ada' });
  });
  afterEach(() => home.remove());

  const tasks = () => home.open.services.tasks;
  const update = (change: UpdateTask, id = task.id) => tasks().update(id, change, ada);
  const updates = async () => home.open.services.ledger.history(task.id, { types: ['task.updated'] });

  it('changes what is named, leaves the rest, and records which fields changed', async () => {
    const parent = await home.create({ title: 'Parent' });
    const first = await home.create({ title: 'First' });
    const changed = await update({
      title: 'New name',
      description: 'Words',
      project: 'site',
      parentId: parent.id,
      dependsOn: [first.id, first.id],
    });
    expect(changed).toMatchObject({
      title: 'New name',
      description: 'Words',
      owner: 'ada',
      project: 'site',
      version: 2,
    });
    expect(await tasks().get(task.id)).toMatchObject({
      parentId: parent.id,
      dependsOn: [first.id],
      labels: task.labels,
    });
    const [record] = await updates();
    expect(JSON.parse(record?.payload ?? '{}')).toMatchObject({
      detail: { changed: ['title', 'description', 'project', 'parentId', 'dependsOn'] },
    });
    expect((await tasks().list({ parentId: parent.id })).items.map(({ id }) => id)).toEqual([task.id]);
    expect((await tasks().list({ text: 'name' })).items.map(({ id }) => id)).toEqual([task.id]);
  });

  it('empties what is null', async () => {
    expect(await update({ owner: null, labels: {}, parentId: null })).toMatchObject({ owner: null, labels: {} });
  });

  it('sets and removes labels one by one, also when two do so at once', async () => {
    await Promise.all([update({ setLabels: { a: '1' } }), update({ setLabels: { b: '2' }, removeLabels: ['kind'] })]);
    expect((await tasks().get(task.id)).labels).toEqual({ area: 'core', a: '1', b: '2' });
    expect((await tasks().list({ label: { name: 'b', value: '2' } })).items).toHaveLength(1);
    expect((await tasks().list({ label: { name: 'kind' } })).items).toEqual([]);
  });

  it('records nothing when nothing changes', async () => {
    expect(await update({ owner: 'ada', setLabels: { area: 'core' } })).toEqual(task);
    expect(await updates()).toEqual([]);
  });

  it('refuses another version than the one that the caller saw', async () => {
    await update({ title: 'Second', expectedVersion: 1 });
    await expect(update({ title: 'Third', expectedVersion: 1 })).rejects.toMatchObject({
      code: 'OCT_VERSION_CONFLICT',
      details: { version: 2, expectedVersion: 1 },
    });
    expect((await tasks().get(task.id)).title).toBe('Second');
  });

  it('refuses a parent or dependency that closes a cycle, is the task itself, or does not exist', async () => {
    const child = await home.create({ title: 'Child', parentId: task.id, dependsOn: [task.id] });
    const refused = { code: 'OCT_INVALID_ARGUMENT' };
    await expect(update({ parentId: child.id })).rejects.toMatchObject(refused);
    await expect(update({ dependsOn: [child.id] })).rejects.toMatchObject(refused);
    await expect(update({ parentId: task.id })).rejects.toMatchObject(refused);
    await expect(update({ dependsOn: ['tsk_00000000000000000000000001'] })).rejects.toMatchObject({
      code: 'OCT_TASK_NOT_FOUND',
    });
    expect(await updates()).toEqual([]);
  });

  it('is done while others hold the task, and under a session only while its lease is held', async () => {
    const { session } = await home.open.services.sessions.attach(task.id, { agent: 'bob' }, callBy('bob'));
    expect(await update({ title: 'By an operator' })).toMatchObject({ title: 'By an operator', status: 'running' });
    expect(await update({ title: 'By bob', sessionId: session.id })).toMatchObject({ title: 'By bob' });
    await home.open.services.sessions.detach(session.id, {}, callBy('bob'));
    await expect(update({ title: 'Late', sessionId: session.id })).rejects.toMatchObject({ code: 'OCT_LEASE_LOST' });
  });

  it('is as little done under a lost lease where limits change or the task is forked', async () => {
    const { sessions, sandboxes, tasks, ledger } = home.open.services;
    const { session } = await sessions.attach(task.id, { agent: 'bob' }, callBy('bob'));
    const person = { ...ada, actor: { ...ada.actor, kind: 'user' } } as const;
    const limits = { memoryBytes: 32 * 1024 ** 2, pids: 16 };
    const set = (sessionId: typeof session.id) => sandboxes.update(task.id, { limits }, { sessionId }, person);
    expect(await set(session.id)).toMatchObject({ applied: 'next-start' });
    await sessions.revoke(task.id, {}, ada);
    const { sandboxSpec } = await tasks.get(task.id);
    const before = (await ledger.history(task.id)).length;
    const lost = { code: 'OCT_LEASE_LOST' };
    await expect(set(session.id)).rejects.toMatchObject(lost);
    const more = { limits: { pids: 17 } };
    await expect(sandboxes.update(task.id, more, { sessionId: session.id }, person)).rejects.toMatchObject(lost);
    await expect(tasks.fork(task.id, { sessionId: session.id }, person)).rejects.toMatchObject(lost);
    expect((await tasks.get(task.id)).sandboxSpec).toEqual(sandboxSpec);
    expect(await ledger.history(task.id)).toHaveLength(before);
  });
});

describe('revoking leases', () => {
  let home: EnginelessHome;
  beforeEach(async () => {
    home = await createEnginelessHome();
  });
  afterEach(() => home.remove());

  it('ends those of one agent or all, whose sessions can change nothing any more, and leaves the task as it is', async () => {
    const { sessions, journal, ledger, tasks } = home.open.services;
    const task = await home.create();
    const attach = async (agent: string) => (await sessions.attach(task.id, { agent }, callBy(agent))).session;
    const [bob, eve, zoe] = [await attach('bob'), await attach('eve'), await attach('zoe')];
    const late = (sessionId: typeof bob.id) => journal.addNote(task.id, { text: 'late', sessionId }, ada);
    const ended = await sessions.revoke(task.id, { agent: 'bob', reason: 'gone astray' }, ada);
    expect(ended).toMatchObject([{ id: bob.id, state: 'lost', endReason: 'gone astray' }]);
    await expect(late(bob.id)).rejects.toMatchObject({ code: 'OCT_LEASE_LOST' });
    await late(eve.id);
    const rest = await sessions.revoke(task.id, {}, ada);
    expect(rest.map(({ id }) => id).toSorted()).toEqual([eve.id, zoe.id].toSorted());
    await expect(late(eve.id)).rejects.toMatchObject({ code: 'OCT_LEASE_LOST' });
    expect(await sessions.revoke(task.id, {}, ada)).toEqual([]);
    expect((await tasks.get(task.id)).status).toBe('running');
    expect(await ledger.history(task.id, { types: ['lease.revoked'] })).toHaveLength(3);
  });
});
