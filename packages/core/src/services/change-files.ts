import { pathsOutside } from '../claims/outside-claims.ts';
import type { OutsideClaims } from '../claims/claim.ts';
import type { TaskId } from '../domain/ids.ts';
import type { JsonObject } from '../domain/json.ts';
import type { Operation } from '../domain/operation.ts';
import type { Task } from '../domain/task.ts';
import type { ErrorCode } from '../errors/error-catalogue.ts';
import { isOpencodeToolsError } from '../errors/opencode-tools-error.ts';
import type { FileAccess, SandboxFiles } from '../ports/sandbox-files.ts';
import { clearTraces, newTraces, temporaryOf } from './file-traces.ts';
import { activeClaims, claimRecords, mostClaimPaths } from './claim-watch.ts';
import { recordedPath, workspacePath } from './file-paths.ts';
import type { FileChanged } from './files-contract.ts';
import { type IdempotencyKey, idempotent } from './idempotent.ts';
import type { Kernel } from './kernel.ts';
import { accessAs } from './reach-files.ts';
import { runOperation } from './run-operation.ts';
import type { SandboxKeeper } from './sandbox-keeper.ts';
import type { Call, UnderSession } from './services.ts';
import { ensureRunningStatus } from './task-moves.ts';
import { wakingFrozen } from './wake-frozen.ts';
import { type LeasedWork, settleTask, withLease } from './with-lease.ts';

/** One change of files, as its verb decided it. */
export interface FileChange<T extends object> {
  readonly verb: 'write' | 'edit' | 'remove' | 'move' | 'make-directory' | 'copy-in';
  /** Absolute. */
  readonly path: (task: Task) => string;
  /** What makes two calls the same call, besides task and path. */
  readonly args: JsonObject;
  /** False when it can be made only once, because it reads a stream. */
  readonly repeatable: boolean;
  readonly make: (files: SandboxFiles, making: Making) => Promise<ChangeMade<T>>;
}

interface Making {
  readonly access: () => FileAccess;
  /** Absolute. */
  readonly path: string;
  /** Whether `changed` has to be complete, because somebody claims something. */
  readonly tell: boolean;
  /** Where content is until it takes its place. */
  readonly temporary: string;
}

interface ChangeMade<T extends object> {
  readonly path: string;
  /** Absolute. */
  readonly changed: readonly string[];
  readonly result: T;
  /** For the record: sizes and digests, never content. */
  readonly detail: JsonObject;
}

/** What a script says that has come to its end, and tidied up. */
const refusals: ReadonlySet<ErrorCode> = new Set([
  'OCT_CAPABILITY_UNSUPPORTED',
  'OCT_FILE_NOT_FOUND',
  'OCT_FILE_REFUSED',
  'OCT_INVALID_ARGUMENT',
  'OCT_STALE_FENCING_TOKEN',
  'OCT_VERSION_CONFLICT',
]);

/** Changes files as an operation: under the lease, fenced in the sandbox, recorded, compared with the claims. */
export async function changeFiles<T extends object>(
  kernel: Kernel,
  keeper: SandboxKeeper,
  taskId: TaskId,
  { sessionId }: UnderSession,
  change: FileChange<T>,
  call: Call,
): Promise<T & FileChanged> {
  const task = await kernel.deps.tasks.getTask(taskId);
  const path = change.path(task);
  const { verb } = change;
  const args = { taskId, path: recordedPath(path), ...change.args };
  const settle = async () => settleTask(kernel, task, sessionId, call);
  const work = async (key: IdempotencyKey) =>
    withLease(kernel, task, { sessionId, sandbox: true }, call, async (leased) => {
      const running = await ensureRunningStatus(kernel, task, leased.proof, call, { reopen: false });
      let handle = await keeper.ensureRunning(running, leased, call);
      const traces = newTraces(kernel, path, change);
      const intent = { verb, path: recordedPath(path), ...traces };
      const operation = kernel.newOperation('file', task.id, leased.proof, intent);
      const access = (): FileAccess => ({
        ...accessAs(kernel, leased.proof.token, leased.signal)(),
        executionId: traces.executionId,
      });
      const claims = await activeClaims(kernel, task);
      const make = async (): Promise<ChangeMade<T>> =>
        wakingFrozen(kernel, handle, task.id, async () =>
          change.make(handle.files, {
            access,
            path,
            tell: claims.length > 0,
            temporary: temporaryOf(traces.executionId),
          }),
        );
      const detail = { verb, path: intent.path };
      const request = { operation, excludes: ['restore', 'deletion'], detail, key } as const;
      let isRefused = false;
      const clear = async (): Promise<void> => {
        if (!isRefused) await clearTraces(kernel, operation, leased.proof);
      };
      const effect = async () => {
        const made = await make().catch(async (error: unknown) => {
          isRefused = isOpencodeToolsError(error) && refusals.has(error.code);
          if (!change.repeatable || !isOpencodeToolsError(error, 'OCT_SANDBOX_NOT_FOUND')) throw error;
          keeper.forget(task.id);
          handle = await keeper.ensureRunning(running, leased, call);
          return make();
        });
        return endOf(kernel, { task, operation, leased, call }, made, intent.verb);
      };
      return runOperation(kernel, request, leased, call, effect, { clear });
    });
  return idempotent(kernel, call, `file-${verb}`, args, work, { settle });
}

interface Scene {
  readonly task: Task;
  readonly operation: Operation;
  readonly leased: LeasedWork;
  readonly call: Call;
}

async function endOf<T extends object>(kernel: Kernel, scene: Scene, made: ChangeMade<T>, verb: string) {
  const { operation, leased, call, task } = scene;
  const outside = await outsideOf(kernel, scene, made.changed);
  const result = {
    ...made.result,
    operationId: operation.id,
    path: made.path,
    ...(outside === null ? {} : { outsideClaims: outside }),
    ...(leased.notices.length === 0 ? {} : { notices: leased.notices }),
  };
  const subject = { taskId: task.id, sessionId: leased.session.id, operationId: operation.id };
  return {
    result,
    outcome: { path: recordedPath(made.path), ...made.detail },
    detail: { verb, path: recordedPath(made.path), ...made.detail },
    puts: () => [],
    records: outside === null ? [] : claimRecords(outside, subject, leased, call),
    stored: JSON.parse(JSON.stringify(result)) as JsonObject,
  };
}

/** Null when nobody claims anything. Who changed what is certain here. */
async function outsideOf(kernel: Kernel, scene: Scene, changed: readonly string[]): Promise<OutsideClaims | null> {
  const claims = await activeClaims(kernel, scene.task);
  if (claims.length === 0) return null;
  const inWorkspace = changed.flatMap((path) => workspacePath(scene.task, path) ?? []).filter((path) => path !== '');
  const scenery = { sessionId: scene.leased.session.id, claims, alongside: new Set<never>() };
  const outside = pathsOutside(inWorkspace.toSorted(), scenery).map(recordedPath);
  return {
    checked: true,
    reason: null,
    paths: outside.slice(0, mostClaimPaths),
    total: outside.length,
    uncertain: false,
  };
}
