import type { Execution } from '../domain/execution.ts';
import type { ExecutionId } from '../domain/ids.ts';
import type { JsonObject } from '../domain/json.ts';
import { OpencodeToolsError } from '../errors/opencode-tools-error.ts';
import type { RecordType } from '../ledger/ledger-record.ts';
import type { SandboxHandle } from '../ports/sandbox-runtime.ts';
import type { BackgroundKeeper } from './background.ts';
import { createPace, keptBytesOf } from './background-pace.ts';
import { howEnded } from './how-ended.ts';
import { type Kernel, draft, leaseGuard } from './kernel.ts';
import type { SandboxKeeper } from './sandbox-keeper.ts';
import type { Call, ExecutionService, UnderSession } from './services.ts';
import { integerBetween, invalid } from './validate.ts';
import { type LeasedWork, assertHere, withLease } from './with-lease.ts';
import { withOwner } from './with-owner.ts';

const mostWaitMs = 86_400_000;
const mostInputBytes = 16 * 1024 ** 2;
const signalName = /^SIG[A-Z0-9]{2,10}$/;

type Control = Pick<ExecutionService, 'poll' | 'wait' | 'signal' | 'writeInput'>;

/** The verbs on an execution that was started already, by whatever process. */
export function controlOfExecutions(
  kernel: Kernel,
  keeper: SandboxKeeper,
  background: BackgroundKeeper,
  get: (id: ExecutionId) => Promise<Execution>,
): Control {
  const poll = async (id: ExecutionId, call: Call): Promise<Execution> => {
    const execution = await get(id);
    if (execution.background !== true) return withOwner(kernel, execution);
    assertHere(kernel, await kernel.deps.tasks.getTask(execution.taskId));
    return background.attend(execution, call);
  };
  const change = async (
    id: ExecutionId,
    { sessionId }: UnderSession,
    call: Call,
    work: (handle: SandboxHandle, execution: Execution, leased: LeasedWork) => Promise<Note>,
  ): Promise<void> => {
    const { taskId } = await get(id);
    const task = await kernel.deps.tasks.getTask(taskId);
    await withLease(kernel, task, { sessionId, sandbox: true }, call, async (leased) => {
      const execution = await poll(id, call);
      if (execution.state !== 'running') throw hasEnded(execution);
      const found = await keeper.find(taskId);
      if (found === undefined) throw hasEnded(execution);
      const { type, detail } = await work(found.handle, execution, leased);
      const { proof } = leased;
      const record = draft({ stream: taskId, type, call, proof, detail: { executionId: id, ...detail } });
      await kernel.commit({ guard: leaseGuard(proof), records: [record] });
    });
  };
  return {
    poll,
    wait: async (id, { timeoutMs }, call) => {
      integerBetween('timeoutMs', timeoutMs, 0, mostWaitMs);
      const deadline = performance.now() + timeoutMs;
      const pace = createPace({ shortestMs: 20, longestMs: 500, growth: 1.5 });
      for (;;) {
        const execution = await poll(id, call);
        const leftMs = deadline - performance.now();
        if (execution.state !== 'running' || leftMs <= 0) return execution;
        const keptBytes = execution.background === true ? await keptBytesOf(kernel, execution) : 0;
        await pause(Math.min(pace(keptBytes), leftMs), call.signal);
      }
    },
    signal: async (id, signal, options, call) => {
      if (!signalName.test(signal)) throw invalid('signal', `is ${signal}`, 'Give a name such as SIGINT or SIGTERM.');
      await change(id, options, call, async (handle, execution) => {
        if (!(await handle.background.signal(id, signal))) throw hasEnded(execution);
        return { type: 'execution.signalled', detail: { signal } };
      });
    },
    writeInput: async (id, { bytes, end = false, ...options }, call) => {
      const size = bytes?.byteLength ?? 0;
      if (size > mostInputBytes) throw invalid('bytes', `are ${size}`, `Write at most ${mostInputBytes} at once.`);
      await change(id, options, call, async (handle, execution, leased) => {
        if (execution.background !== true)
          throw invalid('execution', 'is not in the background', 'Pass input with it.');
        if (bytes !== undefined && size > 0) await handle.background.write(id, leased.proof.token, bytes);
        if (end) await handle.background.endInput(id);
        return { type: 'execution.input_written', detail: { bytes: size, ended: end } };
      });
    },
  };
}

interface Note {
  readonly type: RecordType;
  readonly detail: JsonObject;
}

function hasEnded(execution: Execution): OpencodeToolsError {
  const { id, state, reason } = execution;
  return new OpencodeToolsError(
    'OCT_INVALID_ARGUMENT',
    `Execution ${id} does not run any more: ${howEnded(execution)}`,
    {
      remedy: 'Read its output; to run the command again, start it anew.',
      details: { executionId: id, state, reason },
    },
  );
}

async function pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
  signal?.throwIfAborted();
  await new Promise<void>((resolve, reject) => {
    const onAbort = (): void => {
      clearTimeout(timer);
      reject(signal?.reason as Error);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', onAbort);
      resolve();
    }, ms);
    signal?.addEventListener('abort', onAbort, { once: true });
  });
}
