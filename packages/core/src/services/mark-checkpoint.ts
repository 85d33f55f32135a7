import type { Checkpoint } from '../domain/checkpoint.ts';
import { isId, isShortId, type TaskId } from '../domain/ids.ts';
import type { JsonObject } from '../domain/json.ts';
import type { LeaseProof } from '../domain/session.ts';
import { OpencodeToolsError } from '../errors/opencode-tools-error.ts';
import type { RecordType } from '../ledger/ledger-record.ts';
import { changeCheckpoint, taskOrLastRow } from './change-checkpoint.ts';
import { idempotent } from './idempotent.ts';
import type { Kernel } from './kernel.ts';
import type { Call, UnderSession } from './services.ts';
import { invalid } from './validate.ts';
import { assertHere, withLease } from './with-lease.ts';

const tagForm = /^[A-Za-z0-9][A-Za-z0-9._-]{0,59}$/;

/** What is to be said of a checkpoint that is not part of what it holds. */
export type CheckpointMark = { readonly tag: string } | { readonly untag: string } | { readonly pinned: boolean };

/**
 * Tags or pins a checkpoint, of a deleted task too, or takes that back. Of two calls at once none is lost; it needs no lease, and with a session it is done under that session's lease. Asking for what is so already changes nothing.
 */
export async function markCheckpoint(
  kernel: Kernel,
  taskId: TaskId,
  reference: string,
  mark: CheckpointMark,
  options: UnderSession,
  call: Call,
): Promise<Checkpoint> {
  if ('tag' in mark) checkTag(mark.tag);
  const { task, living } = await taskOrLastRow(kernel, taskId);
  if (!living) assertHere(kernel, task);
  return idempotent(kernel, call, 'mark-checkpoint', { taskId, reference, ...mark }, (key) => {
    const apply = async (proof: LeaseProof | null): Promise<Checkpoint> => {
      const marking = 'untag' in mark ? await holderOf(kernel, taskId, mark.untag) : reference;
      return changeCheckpoint(kernel, taskId, marking, { call, proof, key }, async (current) => {
        if ('tag' in mark) assertFree(await kernel.deps.checkpoints.list(taskId), current, mark.tag);
        const { type, changed, detail } = marked(current, mark);
        if (changed === null) return { record: null, result: current };
        const put = { noun: 'checkpoint', value: changed } as const;
        return { result: changed, record: { type, put, detail: { checkpointId: current.id, ...detail } } };
      });
    };
    if (options.sessionId === undefined || !living) return apply(null);
    return withLease(kernel, task, { sessionId: options.sessionId, sandbox: false }, call, ({ proof }) => apply(proof));
  });
}

interface Marked {
  readonly type: RecordType;
  /** Null when it is so already. */
  readonly changed: Checkpoint | null;
  readonly detail: JsonObject;
}

function marked(current: Checkpoint, mark: CheckpointMark): Marked {
  const { tags } = current;
  if ('tag' in mark) {
    const changed = tags.includes(mark.tag) ? null : { ...current, tags: [...tags, mark.tag].toSorted() };
    return { type: 'checkpoint.tagged', changed, detail: { tag: mark.tag } };
  }
  if ('untag' in mark) {
    if (!tags.includes(mark.untag)) throw notTagged(current.taskId, mark.untag);
    const changed = { ...current, tags: tags.filter((tag) => tag !== mark.untag) };
    return { type: 'checkpoint.untagged', changed, detail: { tag: mark.untag } };
  }
  const changed = current.pinned === mark.pinned ? null : { ...current, pinned: mark.pinned };
  return { type: mark.pinned ? 'checkpoint.pinned' : 'checkpoint.unpinned', changed, detail: {} };
}

function checkTag(tag: string): void {
  const readsAsId = isShortId(tag) || isId('checkpoint', tag);
  if (tagForm.test(tag) && !readsAsId) return;
  throw invalid(
    'tag',
    readsAsId ? 'reads as an id' : 'is not of the form of a tag',
    'Use 1 to 60 letters, digits, dots, underscores and dashes, which do not look like an id of eight characters.',
  );
}

/** A tag that another checkpoint has as its name can be taken away as well. */
async function holderOf({ deps }: Kernel, taskId: TaskId, tag: string): Promise<string> {
  const holder = (await deps.checkpoints.list(taskId)).find(({ tags }) => tags.includes(tag));
  if (holder === undefined) throw notTagged(taskId, tag);
  return holder.id;
}

function notTagged(taskId: TaskId, tag: string): OpencodeToolsError {
  return new OpencodeToolsError('OCT_CHECKPOINT_NOT_FOUND', `No checkpoint of task ${taskId} has the tag ${tag}`, {
    details: { taskId, reference: tag },
  });
}

function assertFree(all: readonly Checkpoint[], current: Checkpoint, tag: string): void {
  if (current.tags.includes(tag)) return;
  const others = all.filter(({ id }) => id !== current.id);
  const tagged = others.find(({ tags }) => tags.includes(tag));
  const holder = tagged ?? others.find(({ name }) => name === tag);
  if (holder === undefined) return;
  const [fact, remedy] =
    tagged === undefined
      ? [`${tag} is the name of checkpoint ${holder.id} already`, 'Choose another tag: names stay as they are.']
      : [
          `The tag ${tag} leads to checkpoint ${holder.id} already`,
          `Take it away first: opencode-tools checkpoints untag ${current.taskId} ${tag}`,
        ];
  const details = { argument: 'tag', checkpointId: holder.id };
  throw new OpencodeToolsError('OCT_INVALID_ARGUMENT', fact, { remedy, details });
}
