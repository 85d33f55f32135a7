import {
  type Checkpoint,
  type CheckpointCatalog,
  type CheckpointId,
  OpencodeToolsError,
  type TaskId,
  isId,
  isShortId,
} from '@opencode-tools/core';
import { allRows, firstRow } from '../query/plan.ts';
import { fromRow } from '../rows/entity-rows.ts';
import type { StoreContext } from '../write/context.ts';
import { selectAllCheckpoints, selectCheckpoint, selectCheckpoints } from './task-rows.ts';

/** The checkpoints as rows. */
export class StoredCheckpoints implements CheckpointCatalog {
  readonly #ctx: StoreContext;

  constructor(ctx: StoreContext) {
    this.#ctx = ctx;
  }

  async find(id: CheckpointId): Promise<Checkpoint | undefined> {
    const row = await this.#ctx.engine.read(() => firstRow(selectCheckpoint({ id })));
    return row === undefined ? undefined : toCheckpoint(row);
  }

  async list(taskId: TaskId): Promise<readonly Checkpoint[]> {
    const rows = await this.#ctx.engine.read(() => allRows(selectCheckpoints({ taskId })));
    return rows.map((row) => toCheckpoint(row));
  }

  async listAll(): Promise<readonly Checkpoint[]> {
    const rows = await this.#ctx.engine.read(() => allRows(selectAllCheckpoints({})));
    return rows.map((row) => toCheckpoint(row));
  }

  async resolve(taskId: TaskId, reference: string): Promise<Checkpoint> {
    const all = await this.list(taskId);
    const found = candidates(all, reference);
    if (found.length === 1 && found[0] !== undefined) return found[0];
    const several = found.length > 1;
    throw new OpencodeToolsError(
      'OCT_CHECKPOINT_NOT_FOUND',
      several
        ? `${found.length} checkpoints of task ${taskId} have the name or tag ${JSON.stringify(reference)}`
        : `Task ${taskId} has no checkpoint ${JSON.stringify(reference.slice(0, 200))}`,
      {
        ...(several ? { remedy: `Name it by its id: ${found.map(({ id }) => id).join(', ')}.` } : {}),
        details: { taskId, reference: reference.slice(0, 200), candidates: found.map(({ id }) => id) },
      },
    );
  }
}

/** Rows of before there were tags have none. */
function toCheckpoint(row: { readonly entity: string }): Checkpoint {
  const found = fromRow<Omit<Checkpoint, 'tags'> & Partial<Pick<Checkpoint, 'tags'>>>(row);
  return { ...found, tags: found.tags ?? [] };
}

function candidates(all: readonly Checkpoint[], reference: string): readonly Checkpoint[] {
  if (isId('checkpoint', reference)) return all.filter(({ id }) => id === reference);
  const byShortId = isShortId(reference) ? all.filter(({ id }) => id.endsWith(reference)) : [];
  if (byShortId.length > 0) return byShortId;
  return all.filter(({ name, tags }) => name === reference || tags.includes(reference));
}
