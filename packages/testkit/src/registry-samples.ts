import {
  type Actor,
  type Checkpoint,
  type Decision,
  type Execution,
  type HomeId,
  type LedgerRecord,
  type Message,
  type Note,
  type Operation,
  type Put,
  type RecordDraft,
  type RecordType,
  type Sandbox,
  type Session,
  type StreamId,
  type Task,
  type TaskId,
  type TaskStore,
  type Todo,
  createIds,
  defaultLimits,
  systemClock,
} from '@opencode-tools/core';

/** Whole valid values to begin a test from; each test says what it changes. */
export const sampleIds = createIds(systemClock);

export const sampleActor: Actor = {
  kind: 'agent',
  id: 'build',
  agent: 'build',
  model: 'model-1',
  session: null,
  onBehalfOf: 'user',
};

const moment = '2026-11-20T08:15:30.123Z';

export function sampleTask(homeId: HomeId, change: Partial<Task> = {}): Task {
  return {
    id: sampleIds.next('task'),
    title: 'Sort the imports',
    description: 'Every module, without changing what is imported.',
    status: 'pending',
    statusReason: null,
    leaseMode: 'exclusive',
    maxAgents: 1,
    conflictStrategy: 'reject',
    workspace: { mode: 'volume', path: '/workspace', source: { kind: 'empty' }, base: null },
    sandboxSpec: {
      image: 'opencode-sandbox-base',
      imageId: null,
      limits: defaultLimits,
      network: { mode: 'fixed-none', rules: [] },
      env: [],
      user: { uid: 1000, gid: 1000 },
      readOnlyRoot: false,
      runtime: null,
    },
    labels: {},
    owner: null,
    project: null,
    parentId: null,
    dependsOn: [],
    forkedFrom: null,
    headCheckpointId: null,
    homeId,
    version: 1,
    createdAt: moment,
    updatedAt: moment,
    startedAt: null,
    endedAt: null,
    ...change,
  };
}

export function sampleSession(taskId: TaskId, change: Partial<Session> = {}): Session {
  return {
    id: sampleIds.next('session'),
    taskId,
    leaseId: sampleIds.next('lease'),
    agent: 'build',
    model: null,
    state: 'attached',
    ephemeral: false,
    attachedAt: moment,
    endedAt: null,
    endReason: null,
    ...change,
  };
}

export function sampleExecution(taskId: TaskId, change: Partial<Execution> = {}): Execution {
  return {
    id: sampleIds.next('execution'),
    taskId,
    sessionId: sampleIds.next('session'),
    operationId: sampleIds.next('operation'),
    command: { kind: 'argv', argv: ['true'] },
    cwd: '/workspace',
    envNames: [],
    agent: 'build',
    state: 'running',
    reason: null,
    exitCode: null,
    signal: null,
    stdout: null,
    stderr: null,
    startedAt: moment,
    endedAt: null,
    durationMs: null,
    ...change,
  };
}

export function sampleSandbox(taskId: TaskId, change: Partial<Sandbox> = {}): Sandbox {
  return {
    taskId,
    generation: 1,
    state: 'running',
    runtime: 'docker',
    ref: 'c0ffee',
    imageId: 'sha256:1',
    workspaceVolume: 'workspace',
    homeVolume: 'home',
    operationId: sampleIds.next('operation'),
    createdAt: moment,
    updatedAt: moment,
    ...change,
  };
}

export function sampleOperation(taskId: TaskId, change: Partial<Operation> = {}): Operation {
  return {
    id: sampleIds.next('operation'),
    kind: 'execution',
    taskId,
    state: 'open',
    intent: {},
    outcome: null,
    owner: { hostId: 'host', bootId: 'boot', pid: 1, startedAt: '1' },
    proof: null,
    startedAt: moment,
    endedAt: null,
    ...change,
  };
}

export function sampleDecision(taskId: TaskId, change: Partial<Decision> = {}): Decision {
  return {
    id: sampleIds.next('decision'),
    taskId,
    sessionId: null,
    agent: 'build',
    what: 'Use one import per line',
    why: 'It merges without conflicts.',
    alternatives: ['Group them by package'],
    executionIds: [],
    checkpointIds: [],
    createdAt: moment,
    ...change,
  };
}

export function sampleTodo(taskId: TaskId, change: Partial<Todo> = {}): Todo {
  return {
    id: sampleIds.next('todo'),
    taskId,
    text: 'Run the linter',
    state: 'open',
    major: false,
    version: 1,
    agent: 'build',
    createdAt: moment,
    updatedAt: moment,
    ...change,
  };
}

export function sampleNote(taskId: TaskId, change: Partial<Note> = {}): Note {
  const base = { id: sampleIds.next('note'), taskId, text: 'The linter needs Node 22.', version: 1, agent: 'build' };
  return { ...base, createdAt: moment, updatedAt: moment, ...change };
}

export function sampleMessage(taskId: TaskId, change: Partial<Message> = {}): Message {
  const base = { id: sampleIds.next('message'), taskId, sessionId: null, role: 'user', text: 'Go on.' } as const;
  return { ...base, bodyDigest: null, createdAt: moment, ...change };
}

export function sampleCheckpoint(taskId: TaskId, change: Partial<Checkpoint> = {}): Checkpoint {
  return {
    id: sampleIds.next('checkpoint'),
    taskId,
    parentId: null,
    name: 'before the change',
    reason: '',
    agent: 'build',
    operationId: sampleIds.next('operation'),
    workspace: null,
    home: null,
    root: null,
    sandboxSpec: sampleTask('hom_0').sandboxSpec,
    ledger: { seq: 1, hash: '0'.repeat(64) },
    manifestDigest: '0'.repeat(64),
    pinned: false,
    tags: [],
    createdAt: moment,
    ...change,
  };
}

/** A record on a stream. */
export function sampleDraft(stream: StreamId, type: RecordType, ...puts: readonly Put[]): RecordDraft {
  return { stream, type, actor: sampleActor, puts };
}

/** Creates a task in a store. */
export async function addTask(store: TaskStore, change: Partial<Task> = {}): Promise<Task> {
  const task = sampleTask(store.homeId, change);
  await store.commit({ records: [sampleDraft(task.id, 'task.created', { noun: 'task', value: task })] });
  return task;
}

/** Writes rows under one record of a task. */
export async function addRows(
  store: TaskStore,
  taskId: TaskId,
  ...puts: readonly Put[]
): Promise<readonly LedgerRecord[]> {
  return store.commit({ records: [sampleDraft(taskId, 'task.changed', ...puts)] });
}
