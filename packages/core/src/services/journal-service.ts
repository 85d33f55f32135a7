import type { TaskId } from '../domain/ids.ts';
import { asJson } from '../domain/json.ts';
import { messageRoles, todoStates } from '../domain/journal.ts';
import type { RecordType } from '../ledger/ledger-record.ts';
import type { Put } from '../ledger/put.ts';
import { automaticOf, checkpointUnasked } from './automatic-checkpoint.ts';
import { idempotent } from './idempotent.ts';
import { type Kernel, draft, leaseGuard } from './kernel.ts';
import type { SandboxKeeper } from './sandbox-keeper.ts';
import type { Call, JournalService, UnderSession } from './services.ts';
import { searchMemory } from './search-memory.ts';
import { type SharedChange, setShared } from './shared-state.ts';
import { freeText, integerBetween, invalid, oneLine, oneOf } from './validate.ts';
import { type LeasedWork, withLease } from './with-lease.ts';

export function createJournalService(kernel: Kernel, keeper: SandboxKeeper): JournalService {
  const { tasks, ids } = kernel.deps;
  return {
    decisions: async (taskId) => tasks.listDecisions(taskId),
    todos: async (taskId) => tasks.listTodos(taskId),
    notes: async (taskId) => tasks.listNotes(taskId),
    messages: async (taskId, page) => tasks.listMessages(taskId, page),
    search: async (taskId, query) => searchMemory(tasks, taskId, query),
    addMessage: (taskId, input, call) =>
      write(kernel, taskId, input, call, 'message.added', (leased) => ({
        noun: 'message',
        value: {
          id: ids.next('message'),
          taskId,
          sessionId: leased.session.id,
          role: oneOf('role', input.role, messageRoles),
          text: nonEmpty(freeText('text', input.text, 100_000)),
          bodyDigest: null,
          createdAt: kernel.now(),
        },
      })),
    decide: (taskId, input, call) =>
      write(kernel, taskId, input, call, 'decision.recorded', (leased) => ({
        noun: 'decision',
        value: {
          id: ids.next('decision'),
          taskId,
          sessionId: leased.session.id,
          agent: leased.session.agent,
          what: oneLine('what', input.what, 500),
          why: freeText('why', input.why ?? '', 20_000),
          alternatives: (input.alternatives ?? []).map((text) => freeText('alternatives', text, 2_000)),
          executionIds: input.executionIds ?? [],
          checkpointIds: input.checkpointIds ?? [],
          createdAt: kernel.now(),
        },
      })),
    addTodo: (taskId, input, call) =>
      write(kernel, taskId, input, call, 'todo.added', (leased) => ({
        noun: 'todo',
        value: {
          id: ids.next('todo'),
          taskId,
          text: oneLine('text', input.text, 500),
          state: 'open',
          major: input.major ?? false,
          version: 1,
          agent: leased.session.agent,
          createdAt: kernel.now(),
          updatedAt: kernel.now(),
        },
      })),
    setTodo: async (taskId, todoId, change, call) => {
      const { major } = change;
      const state = change.state === undefined ? undefined : oneOf('state', change.state, todoStates);
      const text = change.text === undefined ? undefined : oneLine('text', change.text, 500);
      const fields = given({ state, text, major });
      const { sessionId, expectedVersion } = change;
      const todo = await set(kernel, taskId, { noun: 'todo', id: todoId, fields, expectedVersion }, change, call);
      if (state === 'done' && todo.major && automaticOf(kernel).onMajorTodo) {
        const cause = { name: `done: ${todo.text}`, reason: `Todo ${todo.id} is done`, sessionId };
        await checkpointUnasked(kernel, keeper, taskId, cause, call);
      }
      return todo;
    },
    setNote: async (taskId, noteId, change, call) => {
      const fields = { text: nonEmpty(freeText('text', change.text, 20_000)) };
      return set(
        kernel,
        taskId,
        { noun: 'note', id: noteId, fields, expectedVersion: change.expectedVersion },
        change,
        call,
      );
    },
    addNote: (taskId, input, call) =>
      write(kernel, taskId, input, call, 'note.added', (leased) => ({
        noun: 'note',
        value: {
          id: ids.next('note'),
          taskId,
          text: nonEmpty(freeText('text', input.text, 20_000)),
          version: 1,
          agent: leased.session.agent,
          createdAt: kernel.now(),
          updatedAt: kernel.now(),
        },
      })),
  };
}

type JournalPut = Extract<Put, { readonly noun: 'decision' | 'todo' | 'note' | 'message' }>;

/** Writes one row and its record under the caller's lease; the sandbox is not involved. */
async function write<P extends JournalPut>(
  kernel: Kernel,
  taskId: TaskId,
  input: UnderSession,
  call: Call,
  type: RecordType,
  compose: (leased: LeasedWork) => P | Promise<P>,
): Promise<P['value']> {
  const task = await kernel.deps.tasks.getTask(taskId);
  return idempotent(kernel, call, type, { taskId, input: { ...asJson(input), sessionId: null } }, (key) =>
    withLease(kernel, task, { sessionId: input.sessionId, sandbox: false }, call, async (leased) => {
      const put = await compose(leased);
      await kernel.commit({
        guard: leaseGuard(leased.proof, true),
        records: [draft({ stream: taskId, type, call, proof: leased.proof, puts: [put] })],
        ...key.finished(asJson(put.value)),
      });
      return put.value;
    }),
  );
}

async function set<N extends 'todo' | 'note'>(
  kernel: Kernel,
  taskId: TaskId,
  change: SharedChange<N>,
  { sessionId }: UnderSession,
  call: Call,
) {
  if (change.expectedVersion !== undefined)
    integerBetween('expectedVersion', change.expectedVersion, 1, Number.MAX_SAFE_INTEGER);
  const task = await kernel.deps.tasks.getTask(taskId);
  const args = { taskId, id: change.id, fields: asJson(change.fields), expectedVersion: change.expectedVersion };
  return idempotent(kernel, call, `${change.noun}.changed`, args, (key) =>
    withLease(kernel, task, { sessionId, sandbox: false }, call, (leased) =>
      setShared({ kernel, task, leased, key, call, change }),
    ),
  );
}

/** Leaves out what the caller does not set. */
function given<T extends object>(fields: T): { readonly [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as never;
}

function nonEmpty(text: string): string {
  if (text.trim().length === 0) throw invalid('text', 'is empty', 'Give some text.');
  return text;
}
