import { lstat, rm, rmdir, readdir } from 'node:fs/promises';
import { type ExecutionId, type TaskId, isId, outputStreams, prepareDraft } from '@opencode-tools/core';
import { listTaskDirectories } from '../memory/list-task-directories.ts';
import { TaskPaths } from '../memory/task-paths.ts';
import { allRows } from '../query/plan.ts';
import { appendRecords } from '../write/append.ts';
import type { StoreContext } from '../write/context.ts';
import { openTransaction } from '../write/open-transaction.ts';
import { baseSeqOf } from './base-seq.ts';
import { withArguments } from './raw.ts';
import { registryActor } from './registry-actor.ts';

/** What went of the outputs of one task. */
export interface PrunedOutputs {
  readonly taskId: TaskId;
  readonly executions: number;
  readonly bytes: number;
}

interface Pruning {
  /** Outputs that were written to since then stay. */
  readonly beforeMs: number;
  /** Executions that are not over: their outputs stay. */
  readonly running: ReadonlySet<string>;
  readonly dryRun: boolean;
}

/** Removes the outputs of what ended before a time and records what went with each task that is known. */
export async function pruneOutputs(
  ctx: StoreContext,
  homeDirectory: string,
  given: { readonly beforeMs: number; readonly dryRun: boolean },
): Promise<readonly PrunedOutputs[]> {
  const { engine } = ctx.engine.traits;
  const rows = await ctx.engine.read(() =>
    allRows(withArguments<{ id: string }>(engine, ['select id from executions where state = ', ''], ['running'])),
  );
  const running = new Set(rows.map(({ id }) => id));
  const outputs = await removeFiles(homeDirectory, { ...given, running });
  if (!given.dryRun) for (const each of outputs) await record(ctx, each);
  return outputs;
}

async function record(ctx: StoreContext, { taskId, ...detail }: PrunedOutputs): Promise<void> {
  const recorded = await ctx.engine.write(function* () {
    if ((yield* baseSeqOf(ctx, taskId)) === undefined) return false;
    const opened = yield* openTransaction(ctx, new Map([[taskId, ctx.homeId]]));
    yield* appendRecords(ctx, opened, [
      prepareDraft({ stream: taskId, type: 'execution.pruned', actor: registryActor, puts: [], detail }),
    ]);
    return true;
  });
  if (recorded) ctx.onAppended([taskId]);
}

/** Removes the files of outputs, of deleted tasks too. Needs no room on the disk. */
async function removeFiles(homeDirectory: string, pruning: Pruning): Promise<readonly PrunedOutputs[]> {
  const pruned: PrunedOutputs[] = [];
  for (const taskId of await listTaskDirectories(homeDirectory)) {
    const paths = new TaskPaths(homeDirectory, taskId);
    const sizes: number[] = [];
    for (const id of await executionsIn(paths)) {
      const bytes = pruning.running.has(id) ? undefined : await pruneOne(paths, id, pruning);
      if (bytes !== undefined) sizes.push(bytes);
    }
    if (sizes.length === 0) continue;
    pruned.push({ taskId, executions: sizes.length, bytes: sizes.reduce((sum, size) => sum + size, 0) });
  }
  return pruned;
}

async function executionsIn(paths: TaskPaths): Promise<readonly ExecutionId[]> {
  const names: readonly string[] = await readdir(paths.file('executions')).catch(() => []);
  return names.filter((name): name is ExecutionId => isId('execution', name));
}

/** @returns undefined when there is no output, or one is too young to go */
async function pruneOne(paths: TaskPaths, id: ExecutionId, { beforeMs, dryRun }: Pruning): Promise<number | undefined> {
  const files = outputStreams.map((stream) => paths.output(id, stream));
  const facts = await Promise.all(files.map(async (file) => lstat(file).catch(() => undefined)));
  const there = facts.filter((one) => one !== undefined);
  if (there.length === 0 || there.some(({ mtimeMs }) => mtimeMs >= beforeMs)) return undefined;
  if (!dryRun) {
    for (const file of files) await rm(file, { force: true });
    await rmdir(paths.executionDirectory(id)).catch(() => undefined);
  }
  return there.reduce((sum, { size }) => sum + size, 0);
}
