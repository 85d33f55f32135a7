import { assert as assertProperty, boolean, constantFrom, property, record } from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createIds } from '../../ports/ids.ts';
import { systemClock } from '../../ports/clock.ts';
import type { Operation } from '../../domain/operation.ts';
import type { PooledSandbox } from '../../domain/pooled-sandbox.ts';
import type { Sandbox } from '../../domain/sandbox.ts';
import type { Receipt } from '../../domain/task.ts';
import { type ReapEvidence, planReaping } from './plan-reaping.ts';
import type { EngineObject, ReapFacts } from './reap-facts.ts';

const ids = createIds(systemClock);
const taskId = ids.next('task');
const operationId = ids.next('operation');
const nowMs = Date.parse('2026-11-28T12:00:00.000Z');
const old = '2026-11-28T10:00:00.000Z';
const young = '2026-11-28T11:59:00.000Z';
const dead = { hostId: 'h', bootId: 'b', pid: 1, startedAt: '1' };
const alive = { ...dead, pid: 2 };

const object = (change: Partial<EngineObject> = {}): EngineObject => ({
  kind: 'volume',
  name: 'v',
  ref: 'v',
  taskId,
  operationId,
  createdAt: old,
  ...change,
});
const operation = (change: Partial<Operation> = {}): Operation => ({
  id: operationId,
  kind: 'sandbox',
  taskId,
  state: 'failed',
  intent: {},
  outcome: null,
  owner: dead,
  proof: null,
  startedAt: old,
  endedAt: old,
  ...change,
});
const sandbox = (change: Partial<Sandbox> = {}): Sandbox => ({
  taskId,
  generation: 2,
  state: 'running',
  runtime: 'docker',
  ref: 'c',
  imageId: 'i',
  workspaceVolume: 'w',
  homeVolume: 'h',
  operationId,
  createdAt: old,
  updatedAt: old,
  ...change,
});
const entry = (change: Partial<PooledSandbox> = {}): PooledSandbox => ({
  id: operationId,
  key: 'k',
  state: 'ready',
  version: 2,
  owner: dead,
  name: 'p',
  ref: 'p',
  imageId: 'i',
  workspaceVolume: 'pw',
  homeVolume: 'ph',
  claim: null,
  createdAt: old,
  ...change,
});
const receipt = (change: Partial<Receipt> = {}): Receipt => ({
  taskId,
  title: 't',
  deletedAt: old,
  finalCheckpointId: null,
  memory: 'm',
  removed: { containers: 0, volumes: 0, networks: 0 },
  keptImages: [],
  ...change,
});
const facts = (change: Partial<ReapFacts> = {}): ReapFacts => ({
  nowMs,
  graceMs: 600_000,
  untrusted: null,
  objects: [object()],
  sandboxes: [],
  pooled: [],
  openOperations: [],
  operations: new Map(),
  receipts: new Map(),
  checkpoints: [],
  unknownMemory: [],
  isAlive: ({ owner }) => owner.pid === alive.pid,
  ...change,
});
const made = (state: Operation['state'], change: Partial<Operation> = {}): Pick<ReapFacts, 'operations'> => ({
  operations: new Map([[operationId, operation({ state, ...change })]]),
});
const tombstone = (change: Partial<Receipt> = {}): Pick<ReapFacts, 'receipts'> => ({
  receipts: new Map([[taskId, receipt(change)]]),
});
const restore = ids.next('operation');
const replacedBy = (startedAt: string): Partial<ReapFacts> => ({
  sandboxes: [sandbox({ operationId: restore })],
  operations: new Map([
    [operationId, operation({ state: 'completed' })],
    [restore, operation({ id: restore, kind: 'restore', state: 'completed', startedAt })],
  ]),
});

describe('what goes', () => {
  test.each<readonly [string, ReapEvidence, Partial<ReapFacts>]>([
    ['a volume of a deleted task', 'task-deleted', tombstone()],
    [
      'a network of a deleted task',
      'task-deleted',
      { ...tombstone(), objects: [object({ kind: 'network', operationId: null })] },
    ],
    ['a volume of an operation that failed', 'operation-ended', made('failed')],
    ['a volume of an operation that was interrupted', 'operation-ended', made('interrupted')],
    ['a volume that a later restore replaced', 'replaced', replacedBy('2026-11-28T11:00:00.000Z')],
    [
      'the root file system of a checkpoint that was deleted',
      'checkpoint-deleted',
      {
        ...made('completed', { kind: 'checkpoint', outcome: { checkpointId: ids.next('checkpoint') } }),
        objects: [object({ kind: 'image' })],
      },
    ],
    [
      'the root file system of a deleted task whose checkpoint was deleted too',
      'checkpoint-deleted',
      {
        ...tombstone({ keptImages: ['v'] }),
        ...made('completed', { kind: 'checkpoint', outcome: { checkpointId: ids.next('checkpoint') } }),
        objects: [object({ kind: 'image' })],
      },
    ],
    ['what a dead process kept ready', 'pool-entry', { pooled: [entry()] }],
    [
      'what a deleted task had taken from the pool',
      'task-deleted',
      {
        ...tombstone(),
        objects: [object({ taskId: null })],
        pooled: [entry({ state: 'claimed', claim: { taskId, operationId: restore } })],
      },
    ],
    [
      'a helper, while nothing is under way',
      'helper-idle',
      { objects: [object({ kind: 'helper', operationId: null })] },
    ],
    [
      'a helper that ended long ago, whatever is under way',
      'helper-idle',
      {
        objects: [object({ kind: 'helper', operationId: null, endedAt: old })],
        openOperations: [operation({ state: 'open' })],
      },
    ],
    [
      'a volume made for the time of a call, while nothing is under way',
      'helper-idle',
      { objects: [object({ kind: 'view', operationId: null })] },
    ],
  ])('%s', (_, evidence, change) => {
    const plan = planReaping(facts(change));
    expect(plan.removals.map((removal) => removal.evidence)).toEqual([evidence]);
    expect(plan.unknown).toEqual([]);
  });
});

describe('what stays', () => {
  test.each<readonly [string, Partial<ReapFacts>]>([
    ['what a row names, whatever else is said of it', { ...made('failed'), sandboxes: [sandbox({ homeVolume: 'v' })] }],
    ['what is younger than the grace time', { ...tombstone(), objects: [object({ createdAt: young })] }],
    ['what an open operation is making', { ...made('open') }],
    [
      'what an open operation takes',
      { ...made('failed'), openOperations: [operation({ intent: { madeVolumes: ['v'] } })] },
    ],
    ['what a living process keeps ready', { pooled: [entry({ owner: alive })] }],
    [
      'a helper while an operation is open',
      { objects: [object({ kind: 'helper', operationId: null })], openOperations: [operation({ state: 'open' })] },
    ],
    [
      'a helper that has only just ended, although it was made long ago',
      { objects: [object({ kind: 'helper', operationId: null, endedAt: young })] },
    ],
    [
      'a volume made for the time of a call while an operation is open',
      { objects: [object({ kind: 'view', operationId: null })], openOperations: [operation({ state: 'open' })] },
    ],
    [
      'a helper while a living process fills its pool',
      {
        objects: [object({ kind: 'helper', operationId: null })],
        pooled: [entry({ id: restore, state: 'filling', owner: alive })],
      },
    ],
  ])('%s', (_, change) => {
    const plan = planReaping(facts(change));
    expect(plan.removals).toEqual([]);
    expect(plan.unknown).toEqual([]);
  });
});

describe('what is reported', () => {
  test.each<readonly [string, Partial<ReapFacts>]>([
    ['what nothing knows', {}],
    ['what an operation made that completed', made('completed')],
    ['what an operation of another task made', made('failed', { taskId: ids.next('task') })],
    ['an older volume when the newer was not made by a restore', { ...made('completed'), sandboxes: [sandbox()] }],
    ['a volume made after the restore', replacedBy('2026-11-28T09:00:00.000Z')],
    [
      'an image that the receipt says is kept',
      { ...tombstone({ keptImages: ['v'] }), objects: [object({ kind: 'image' })] },
    ],
    ['a pooled sandbox whose entry is lost', { objects: [object({ kind: 'container', taskId: null })] }],
  ])('%s', (_, change) => {
    const plan = planReaping(facts(change));
    expect(plan.removals).toEqual([]);
    expect(plan.unknown).toHaveLength(1);
  });
});

test('an entry of a task whose parts are gone is spent, and one whose operation is open is not', () => {
  const claimed = entry({ state: 'claimed', claim: { taskId, operationId } });
  expect(planReaping(facts({ pooled: [claimed], objects: [], ...made('completed') })).spent).toEqual([claimed]);
  expect(planReaping(facts({ pooled: [claimed], objects: [], ...made('open') })).spent).toEqual([]);
  expect(
    planReaping(facts({ pooled: [claimed], objects: [object({ ref: 'p' })], ...made('completed') })).spent,
  ).toEqual([]);
});

test('nothing at all goes by a registry that is not trusted, and never what a row or an open operation names', () => {
  expect.hasAssertions();
  const state = constantFrom<Operation['state']>('open', 'completed', 'failed', 'interrupted');
  const cases = record({
    kind: constantFrom<EngineObject['kind']>('container', 'volume', 'image', 'helper'),
    state,
    deleted: boolean(),
    pool: constantFrom('none', 'alive', 'dead'),
    named: boolean(),
    trusted: boolean(),
  });
  assertProperty(
    property(cases, (one) => {
      const plan = planReaping(
        facts({
          untrusted: one.trusted ? null : 'new',
          objects: [object({ kind: one.kind })],
          ...made(one.state),
          ...(one.deleted ? tombstone() : {}),
          pooled: one.pool === 'none' ? [] : [entry({ owner: one.pool === 'alive' ? alive : dead })],
          sandboxes: one.named ? [sandbox({ ref: 'v' })] : [],
        }),
      );
      if (one.named || !one.trusted) expect(plan.removals).toEqual([]);
      if (one.state === 'open' && one.pool === 'none' && one.kind !== 'helper') expect(plan.removals).toEqual([]);
    }),
  );
});
