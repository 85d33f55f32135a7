import { describe, expect, test } from 'vitest';
import { homeId, taskId } from '../../test/records.ts';
import { taskWith } from '../../test/task.ts';
import type { OperationId } from '../domain/ids.ts';
import type { Task } from '../domain/task.ts';
import { type PlanFacts, engineName, objectLabels, planSandbox, sandboxRow, volumeNames } from './sandbox-plan.ts';

const operationId: OperationId = 'opn_0000000000000000000abcdefg';
const bind = taskWith({ workspace: { mode: 'bind', path: '/srv/project' } });

function factsOf(task: Task, change: Partial<PlanFacts> = {}): PlanFacts {
  const volumes = volumeNames(task, 4, operationId);
  return {
    homeId,
    task,
    operationId,
    emptyVolumes: new Set(),
    generation: 4,
    imageId: 'sha256:committed',
    workspaceVolume: volumes.workspace,
    homeVolume: volumes.home,
    fence: { minToken: 7, revoked: [8] },
    ...change,
  };
}

describe('planSandbox', () => {
  test('decides everything for a volume workspace', () => {
    expect(planSandbox(factsOf(taskWith()))).toEqual({
      name: 'oct-00000001-4-0abcdefg',
      homeId,
      taskId,
      operationId,
      generation: 4,
      imageId: 'sha256:committed',
      user: { uid: 1000, gid: 1001 },
      limits: { memoryBytes: 2_147_483_648, cpus: 2, pids: 512, tmpBytes: 536_870_912, workspaceBytes: 21_474_836_480 },
      networkMode: 'fixed-none',
      mounts: [
        { kind: 'volume', volume: 'oct-00000001-4-0abcdefg-workspace', target: '/workspace', readOnly: false },
        { kind: 'volume', volume: 'oct-00000001-4-0abcdefg-home', target: '/home/agent', readOnly: false },
      ],
      workingDirectory: '/workspace',
      readOnlyRoot: false,
      runtime: null,
      fence: { minToken: 7, revoked: [8] },
    });
  });

  test('mounts a bound directory at its own path', () => {
    expect(planSandbox(factsOf(bind))).toMatchObject({
      mounts: [
        { kind: 'bind', source: '/srv/project', target: '/srv/project', readOnly: false },
        { kind: 'volume', volume: 'oct-00000001-4-0abcdefg-home', target: '/home/agent', readOnly: false },
      ],
      workingDirectory: '/srv/project',
    });
  });

  test('mounts the volumes that an earlier sandbox had', () => {
    const { mounts } = planSandbox(factsOf(taskWith(), { workspaceVolume: 'old-workspace', homeVolume: 'old-home' }));
    expect(mounts.map((mount) => mount.kind === 'volume' && mount.volume)).toEqual(['old-workspace', 'old-home']);
  });

  test.each([
    [{ readOnlyRoot: true }, { readOnlyRoot: true }],
    [{ runtime: 'runsc' }, { runtime: 'runsc' }],
    [{ network: { mode: 'upgradable', rules: [] } }, { networkMode: 'upgradable' }],
    [{ network: { mode: 'policy', rules: [] } }, { networkMode: 'policy' }],
  ] as const)('takes %j from the specification', (spec, planned) => {
    const task = taskWith();
    const changed = { ...task, sandboxSpec: { ...task.sandboxSpec, ...spec } };
    expect(planSandbox(factsOf(changed))).toEqual({ ...planSandbox(factsOf(task)), ...planned });
  });

  test('names the image it is told, not the one of the specification, and none of the environment', () => {
    const task = taskWith();
    const env = [{ name: 'TOKEN', from: 'env', variable: 'SECRET_TOKEN' }] as const;
    const plan = planSandbox(factsOf({ ...task, sandboxSpec: { ...task.sandboxSpec, env } }));
    expect(plan.imageId).toBe('sha256:committed');
    expect(JSON.stringify(plan)).not.toContain('TOKEN');
  });
});

describe('names and labels', () => {
  test('differ by task, generation and operation, and fit an engine', () => {
    const other = { ...taskWith(), id: 'tsk_00000000000000000000000002' } as const;
    const names = [
      engineName(taskWith(), 1, operationId),
      engineName(taskWith(), 2, operationId),
      engineName(taskWith(), 1, 'opn_0000000000000000000abcdefh'),
      engineName(other, 1, operationId),
    ];
    expect(new Set(names).size).toBe(4);
    for (const name of names) expect(name).toMatch(/^[a-zA-Z0-9][a-zA-Z0-9_.-]{1,127}$/);
  });

  test('make no workspace volume for a bind workspace', () => {
    expect(volumeNames(bind, 1, operationId)).toEqual({ workspace: null, home: 'oct-00000001-1-0abcdefg-home' });
  });

  test('say home, task, operation and kind', () => {
    expect(objectLabels(homeId, taskWith(), operationId, 'workspace')).toEqual({
      'io.opencode-tools.home': homeId,
      'io.opencode-tools.task': taskId,
      'io.opencode-tools.operation': operationId,
      'io.opencode-tools.kind': 'workspace',
    });
  });
});

test('the row of a sandbox that is about to be made names its volumes and has no container yet', () => {
  expect(sandboxRow(factsOf(taskWith()), 'docker', '2026-11-20T08:15:30.123Z')).toEqual({
    taskId,
    generation: 4,
    state: 'creating',
    runtime: 'docker',
    ref: null,
    imageId: 'sha256:committed',
    workspaceVolume: 'oct-00000001-4-0abcdefg-workspace',
    homeVolume: 'oct-00000001-4-0abcdefg-home',
    operationId,
    createdAt: '2026-11-20T08:15:30.123Z',
    updatedAt: '2026-11-20T08:15:30.123Z',
  });
});
