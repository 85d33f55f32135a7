import {
  type IdKind,
  type Put,
  claimStates,
  conflictStrategies,
  executionStates,
  isId,
  leaseModes,
  leaseStates,
  messageRoles,
  networkModes,
  operationKinds,
  operationStates,
  sandboxStates,
  sessionStates,
  snapshotStores,
  taskStatuses,
  todoStates,
} from '@opencode-tools/core';

type Shape = (value: unknown) => boolean;
type Members<T> = { readonly [P in keyof T as undefined extends T[P] ? never : P]: Shape };
type ValueOf<N extends Put['noun']> = Extract<Put, { readonly noun: N }>['value'];

/**
 * Whether what a record puts has every member that is read without asking, each of its kind. Members beside those, and what
 * an object holds that is only shown, are not looked at.
 */
export function isWellFormed(put: Put): boolean {
  return shapes[put.noun](put.value);
}

const text: Shape = (value) => typeof value === 'string';
const flag: Shape = (value) => typeof value === 'boolean';
const count: Shape = (value) => Number.isSafeInteger(value) && (value as number) >= 0;
const number: Shape = (value) => typeof value === 'number';
const time: Shape = (value) =>
  typeof value === 'string' && /^\d{4}-\d\d-\d\dT/.test(value) && !Number.isNaN(Date.parse(value));
/** A column of its own, which PostgreSQL keeps no zero byte in. */
const oneLine: Shape = (value) => typeof value === 'string' && value.length <= 1_000 && !value.includes('\0');
const object: Shape = (value) => typeof value === 'object' && value !== null && !Array.isArray(value);
const id =
  (kind: IdKind): Shape =>
  (value) =>
    typeof value === 'string' && isId(kind, value);
const oneOf =
  (words: readonly string[]): Shape =>
  (value) =>
    words.includes(value as string);
const orNull =
  (shape: Shape): Shape =>
  (value) =>
    value === null || shape(value);
const orAbsent =
  (shape: Shape): Shape =>
  (value) =>
    value === undefined || value === null || shape(value);
const listOf =
  (shape: Shape): Shape =>
  (value) =>
    Array.isArray(value) && value.every(shape);
const mapOf =
  (shape: Shape): Shape =>
  (value) =>
    object(value) && Object.values(value as object).every(shape);
const has = (members: Readonly<Record<string, Shape>>): Shape => {
  const entries = Object.entries(members);
  return (value) =>
    object(value) && entries.every(([name, shape]) => shape((value as Readonly<Record<string, unknown>>)[name]));
};
const hasAll = <N extends Put['noun']>(members: Members<ValueOf<N>> & Readonly<Record<string, Shape>>): Shape =>
  has(members);

const ids = (kind: IdKind): Shape => listOf(id(kind));
const written = { agent: oneLine, createdAt: time };
const snapshot = has({
  store: oneOf(snapshotStores),
  id: text,
  digest: text,
  entries: count,
  bytes: count,
  addedBytes: count,
});
const source = has({ kind: text });
const volume = has({ mode: oneOf(['volume']), path: text, source, base: orNull(snapshot) });
const bind = has({ mode: oneOf(['bind']), path: text });
const spec = has({
  image: text,
  imageId: orNull(text),
  limits: mapOf(number),
  network: has({ mode: oneOf(networkModes), rules: listOf(object) }),
  env: listOf(has({ name: text })),
  user: has({ uid: count, gid: count }),
  readOnlyRoot: flag,
  runtime: orNull(text),
});
const processRef = has({ hostId: text, bootId: text, pid: count, startedAt: text });
const argv = has({ kind: oneOf(['argv']), argv: listOf(text) });
const script = has({ kind: oneOf(['script']), script: text });
const output = has({ bytes: count, digest: text });
const tripwire = has({ path: text, rule: text });
const tripwires = has({ checked: flag, reason: orNull(text), found: listOf(tripwire), total: count });
const proof = has({ taskId: id('task'), sessionId: id('session'), leaseId: id('lease'), token: count });

const shapes: { readonly [N in Put['noun']]: Shape } = {
  task: hasAll<'task'>({
    id: id('task'),
    title: oneLine,
    description: text,
    status: oneOf(taskStatuses),
    statusReason: orNull(text),
    leaseMode: oneOf(leaseModes),
    maxAgents: count,
    conflictStrategy: oneOf(conflictStrategies),
    workspace: (value) => volume(value) || bind(value),
    sandboxSpec: spec,
    labels: mapOf(text),
    owner: orNull(oneLine),
    project: orNull(oneLine),
    parentId: orNull(id('task')),
    dependsOn: ids('task'),
    forkedFrom: orNull(has({ taskId: id('task'), checkpointId: id('checkpoint') })),
    limitRequest: orAbsent(has({ limits: mapOf(number), reason: text, requestedBy: text, at: time })),
    headCheckpointId: orNull(id('checkpoint')),
    homeId: id('home'),
    version: count,
    createdAt: time,
    updatedAt: time,
    startedAt: orNull(time),
    endedAt: orNull(time),
  }),
  receipt: hasAll<'receipt'>({
    taskId: id('task'),
    title: oneLine,
    deletedAt: time,
    finalCheckpointId: orNull(id('checkpoint')),
    memory: text,
    removed: has({ containers: count, volumes: count, networks: count }),
    keptImages: listOf(text),
    lost: orAbsent(listOf(text)),
  }),
  session: hasAll<'session'>({
    id: id('session'),
    taskId: id('task'),
    leaseId: id('lease'),
    agent: oneLine,
    model: orNull(text),
    state: oneOf(sessionStates),
    ephemeral: flag,
    process: orAbsent(processRef),
    attachedAt: time,
    endedAt: orNull(time),
    endReason: orNull(text),
  }),
  lease: hasAll<'lease'>({
    id: id('lease'),
    taskId: id('task'),
    sessionId: id('session'),
    mode: oneOf(leaseModes),
    token: count,
    state: oneOf(leaseStates),
    ttlMs: count,
    acquiredAt: time,
    renewedAt: time,
    expiresAt: time,
    endedAt: orNull(time),
  }),
  sandbox: hasAll<'sandbox'>({
    taskId: id('task'),
    generation: count,
    state: oneOf(sandboxStates),
    runtime: text,
    ref: orNull(text),
    imageId: text,
    workspaceVolume: orNull(text),
    homeVolume: orNull(text),
    operationId: id('operation'),
    createdAt: time,
    updatedAt: time,
    hold: orAbsent(text),
    pressure: orAbsent(has({ level: text, resource: text, used: number, limit: number, at: time })),
  }),
  execution: hasAll<'execution'>({
    id: id('execution'),
    taskId: id('task'),
    sessionId: id('session'),
    operationId: id('operation'),
    command: (value) => argv(value) || script(value),
    cwd: text,
    envNames: listOf(text),
    agent: oneLine,
    state: oneOf(executionStates),
    reason: orNull(text),
    exitCode: orNull(number),
    signal: orNull(text),
    stdout: orNull(output),
    stderr: orNull(output),
    startedAt: time,
    endedAt: orNull(time),
    durationMs: orNull(number),
    shell: orAbsent(text),
    tripwires: orAbsent(tripwires),
  }),
  decision: hasAll<'decision'>({
    id: id('decision'),
    taskId: id('task'),
    sessionId: orNull(id('session')),
    what: text,
    why: text,
    alternatives: listOf(text),
    executionIds: ids('execution'),
    checkpointIds: ids('checkpoint'),
    ...written,
  }),
  todo: hasAll<'todo'>({
    id: id('todo'),
    taskId: id('task'),
    text,
    state: oneOf(todoStates),
    major: flag,
    version: count,
    updatedAt: time,
    ...written,
  }),
  note: hasAll<'note'>({ id: id('note'), taskId: id('task'), text, version: count, updatedAt: time, ...written }),
  message: hasAll<'message'>({
    id: id('message'),
    taskId: id('task'),
    sessionId: orNull(id('session')),
    role: oneOf(messageRoles),
    text: orNull(text),
    bodyDigest: orNull(text),
    createdAt: time,
  }),
  claim: hasAll<'claim'>({
    id: id('claim'),
    taskId: id('task'),
    sessionId: id('session'),
    leaseId: id('lease'),
    agent: oneLine,
    read: listOf(text),
    write: listOf(text),
    state: oneOf(claimStates),
    version: count,
    claimedAt: time,
    endedAt: orNull(time),
    endReason: orNull(text),
  }),
  checkpoint: hasAll<'checkpoint'>({
    id: id('checkpoint'),
    taskId: id('task'),
    parentId: orNull(id('checkpoint')),
    name: oneLine,
    reason: text,
    operationId: id('operation'),
    workspace: orNull(snapshot),
    home: orNull(snapshot),
    root: orNull(has({ baseImageId: text, imageId: text, changedPaths: count })),
    sandboxSpec: spec,
    ledger: has({ seq: count, hash: text }),
    manifestDigest: text,
    pinned: flag,
    // There were none once.
    tags: orAbsent(listOf(text)),
    ...written,
  }),
  checkpointRemoval: hasAll<'checkpointRemoval'>({ id: id('checkpoint'), taskId: id('task') }),
  operation: hasAll<'operation'>({
    id: id('operation'),
    kind: oneOf(operationKinds),
    taskId: id('task'),
    state: oneOf(operationStates),
    intent: object,
    outcome: orNull(object),
    owner: processRef,
    proof: orNull(proof),
    startedAt: time,
    endedAt: orNull(time),
  }),
};
