import type { SandboxSpec } from '../domain/sandbox-spec.ts';
import type { Task } from '../domain/task.ts';
import { OpencodeToolsError } from '../errors/opencode-tools-error.ts';
import type { Kernel } from './kernel.ts';

export interface BeginningImage {
  /** The version that the task began with; when the engine has lost it, the one that its name leads to now, if any. */
  readonly imageId: string | null;
  readonly isThere: boolean;
  /** What has to be said where it is another one, or none. */
  readonly warning: string | null;
}

/** Looks which image a task can begin anew from. Pulls and builds nothing. */
export async function findBeginning({ deps }: Kernel, { image, imageId }: SandboxSpec): Promise<BeginningImage> {
  if (imageId === null || (await deps.images.find(imageId)) !== undefined)
    return { imageId, isThere: true, warning: null };
  const lost = `The image that the task began with is gone from the engine: ${imageId}.`;
  const named = await deps.images.find(image);
  return named === undefined
    ? { imageId, isThere: false, warning: `${lost} No image is called ${image} now: pull or build it` }
    : { imageId: named.id, isThere: true, warning: `${lost} The task goes on from what ${image} names now` };
}

/** @throws OpencodeToolsError `OCT_IMAGE_NOT_FOUND` when nothing is there that a new task could begin from */
export async function withBeginning(kernel: Kernel, id: Task['id'], spec: SandboxSpec): Promise<SandboxSpec> {
  const { imageId, isThere } = await findBeginning(kernel, spec);
  if (isThere) return { ...spec, imageId };
  throw lostBeginning({ id, sandboxSpec: spec }, `Pull or build ${spec.image}, then try again`);
}

/** @param goOn what to do, without a full stop */
export function lostBeginning(
  { id, sandboxSpec: { image, imageId } }: Pick<Task, 'id' | 'sandboxSpec'>,
  goOn: string,
  cause?: unknown,
): OpencodeToolsError {
  const message = `The image that task ${id} began with is gone from the engine: ${image} (${imageId})`;
  return new OpencodeToolsError('OCT_IMAGE_NOT_FOUND', message, {
    remedy: `${goOn}.`,
    details: { taskId: id, image: imageId },
    cause,
  });
}
