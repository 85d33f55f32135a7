import { asJson } from '../domain/json.ts';
import type { JsonObject } from '../domain/json.ts';
import type { TaskId } from '../domain/ids.ts';
import type { LeaseProof } from '../domain/session.ts';
import type { Task } from '../domain/task.ts';
import { OpencodeToolsError } from '../errors/opencode-tools-error.ts';
import { canonicalJson } from '../ledger/canonical-json.ts';
import { type IdempotencyKey, idempotent } from './idempotent.ts';
import { type Kernel, draft, leaseGuard } from './kernel.ts';
import type { Call, UpdateTask } from './services.ts';
import { freeText, integerBetween, invalid, labels, oneLine } from './validate.ts';
import { withLease } from './with-lease.ts';

const maxDependencies = 200;

type Fields = Partial<Pick<Task, 'title' | 'description' | 'labels' | 'owner' | 'project' | 'parentId' | 'dependsOn'>>;

/**
 * Changes what a task says about itself. None of that touches the work in its sandbox, so that it needs no lease: the version
 * guards it; with a session it is done under that session's lease. The store refuses a parent or dependency that closes a cycle.
 */
export async function updateTask(kernel: Kernel, id: TaskId, input: UpdateTask, call: Call): Promise<Task> {
  const fields = checkFields(id, input);
  const { expectedVersion, sessionId } = input;
  if (expectedVersion !== undefined) integerBetween('expectedVersion', expectedVersion, 1, Number.MAX_SAFE_INTEGER);
  const task = await kernel.deps.tasks.getTask(id);
  const named = [...(fields.parentId == null ? [] : [fields.parentId]), ...(fields.dependsOn ?? [])];
  for (const other of named) await kernel.deps.tasks.getTask(other);
  const relabel = relabelling(input);
  const args = { taskId: id, fields: asJson(fields), ...asJson(relabel), expectedVersion };
  return idempotent(kernel, call, 'update', args, (key) => {
    const change = { id, fields, relabel, expectedVersion, key, call };
    if (sessionId === undefined) return apply(kernel, change, null);
    return withLease(kernel, task, { sessionId, sandbox: false }, call, ({ proof }) => apply(kernel, change, proof));
  });
}

interface FieldChange {
  readonly id: TaskId;
  readonly fields: Fields;
  readonly relabel: Relabelling;
  readonly expectedVersion: number | undefined;
  readonly key: IdempotencyKey;
  readonly call: Call;
}

function apply(
  kernel: Kernel,
  { id, fields: given, relabel, expectedVersion, key, call }: FieldChange,
  proof: LeaseProof | null,
): Promise<Task> {
  return kernel.changeTask(id, (current) => {
    if (expectedVersion !== undefined && expectedVersion !== current.version)
      throw changedMeanwhile(current, expectedVersion);
    const fields = relabelled(current, given, relabel);
    const before: JsonObject = asJson(current);
    const changed = Object.entries(fields)
      .filter(([name, value]) => canonicalJson(value) !== canonicalJson(before[name] ?? null))
      .map(([name]) => name);
    if (changed.length === 0) return { change: null, result: current };
    const task: Task = { ...current, ...fields, version: current.version + 1, updatedAt: kernel.now() };
    const record = draft({
      stream: id,
      type: 'task.updated',
      call,
      proof,
      puts: [{ noun: 'task', value: task }],
      detail: { changed },
    });
    const guard = proof === null ? {} : { guard: leaseGuard(proof, true) };
    return { change: { ...guard, records: [record], ...key.finished(asJson(task)) }, result: task };
  });
}

interface Relabelling {
  readonly setLabels?: Readonly<Record<string, string>>;
  readonly removeLabels?: readonly string[];
}

function relabelling({ setLabels, removeLabels }: UpdateTask): Relabelling {
  return {
    ...(setLabels === undefined ? {} : { setLabels: labels(setLabels) }),
    ...(removeLabels === undefined ? {} : { removeLabels }),
  };
}

/** Labels that are set one by one start from those of the row that is changed, however often that is read. */
function relabelled(current: Task, fields: Fields, { setLabels = {}, removeLabels = [] }: Relabelling): Fields {
  if (Object.keys(setLabels).length === 0 && removeLabels.length === 0) return fields;
  const start = Object.entries(fields.labels ?? current.labels).filter(([name]) => !removeLabels.includes(name));
  return { ...fields, labels: labels({ ...Object.fromEntries(start), ...setLabels }) };
}

function checkFields(id: TaskId, input: UpdateTask): Fields {
  const line = (name: 'owner' | 'project') => {
    const value = input[name];
    return value === undefined ? {} : { [name]: value === null ? null : oneLine(name, value, 200) };
  };
  const { dependsOn, parentId } = input;
  if (dependsOn !== undefined && dependsOn.length > maxDependencies)
    throw invalid('dependsOn', `names ${dependsOn.length} tasks`, `Name at most ${maxDependencies}.`);
  if (parentId === id || dependsOn?.includes(id) === true)
    throw invalid(parentId === id ? 'parentId' : 'dependsOn', 'names the task itself', 'Name other tasks.');
  return {
    ...(input.title === undefined ? {} : { title: oneLine('title', input.title, 200) }),
    ...(input.description === undefined ? {} : { description: freeText('description', input.description, 20_000) }),
    ...(input.labels === undefined ? {} : { labels: labels(input.labels) }),
    ...line('owner'),
    ...line('project'),
    ...(parentId === undefined ? {} : { parentId }),
    ...(dependsOn === undefined ? {} : { dependsOn: [...new Set(dependsOn)] }),
  };
}

function changedMeanwhile(task: Task, expected: number): OpencodeToolsError {
  return new OpencodeToolsError(
    'OCT_VERSION_CONFLICT',
    `Task ${task.id} is at version ${task.version}, not ${expected}`,
    {
      details: { taskId: task.id, version: task.version, expectedVersion: expected },
    },
  );
}
