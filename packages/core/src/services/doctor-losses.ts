import type { Checkpoint } from '../domain/checkpoint.ts';
import { type TaskId, shortId } from '../domain/ids.ts';
import type { CheckpointDamage } from './checkpoint-contract.ts';
import type { DoctorFinding } from './doctor-contract.ts';
import { areHere } from './change-checkpoint.ts';
import { findDamage } from './find-damage.ts';
import type { Kernel } from './kernel.ts';

const mostNamed = 3;

/** Says of which tasks the engine has lost work: volumes that sandboxes have, and what checkpoints are made of. */
export async function lossFindings(kernel: Kernel): Promise<readonly DoctorFinding[]> {
  const { tasks, checkpoints, workspaces, images } = kernel.deps;
  await workspaces.takeStock();
  const volumesOf = new Map<TaskId, readonly string[]>();
  const without = new Set<TaskId>();
  const sandboxes = await tasks.listSandboxes();
  for (const [imageId, made] of Map.groupBy(sandboxes, (sandbox) => sandbox.imageId))
    if ((await images.find(imageId)) === undefined) for (const { taskId } of made) without.add(taskId);
  for (const { taskId, workspaceVolume, homeVolume } of sandboxes)
    volumesOf.set(
      taskId,
      [workspaceVolume, homeVolume].filter((volume) => volume !== null),
    );
  const all = await checkpoints.listAll();
  const { volumes } = await workspaces.missing({ snapshotIds: [], volumes: [...volumesOf.values()].flat() });
  const damaged = await findDamage(kernel, all);
  const byTask = Map.groupBy(all, ({ taskId }) => taskId);
  const findings: DoctorFinding[] = [];
  for (const taskId of new Set([...volumesOf.keys(), ...byTask.keys()])) {
    const lost = (volumesOf.get(taskId) ?? []).filter((volume) => volumes.has(volume));
    const own = byTask.get(taskId) ?? [];
    const bad = own.filter(({ id }) => damaged.has(id));
    if (lost.length === 0 && bad.length === 0 && !without.has(taskId)) continue;
    if (!(await areHere(kernel, taskId))) continue;
    const task = await tasks.findTask(taskId);
    const isLiving = task !== undefined;
    if (!isLiving && lost.length === 0 && bad.length === 0) continue;
    const message = [
      ...(without.has(taskId) ? ['The engine has lost the image of its sandbox'] : []),
      ...(lost.length === 0 ? [] : [`The engine has lost the files of ${lost.join(' and ')}`]),
      ...(bad.length === 0 ? [] : [describeDamage(bad, own.length, damaged)]),
    ].join('; ');
    const severity = isLiving ? 'problem' : 'warning';
    const image = without.has(taskId) ? (task?.sandboxSpec.image ?? null) : null;
    findings.push({
      severity,
      subject: taskId,
      message,
      remedy: remedyOf(taskId, { isLiving, lost, bad, own, image }),
    });
  }
  return findings;
}

function describeDamage(
  bad: readonly Checkpoint[],
  count: number,
  damaged: ReadonlyMap<string, readonly CheckpointDamage[]>,
): string {
  const parts = new Set(bad.flatMap(({ id }) => (damaged.get(id) ?? []).map(({ part }) => part)));
  const what = [...parts].map((part) => (part === 'root' ? 'what was installed' : `the ${part} files`)).join(', ');
  const names = bad.slice(0, mostNamed).map(({ id, name }) => `${shortId(id)} (${name})`);
  const more = bad.length > mostNamed ? ` and ${bad.length - mostNamed} more` : '';
  return `${bad.length} of ${count} checkpoints have lost ${what}: ${names.join(', ')}${more}`;
}

interface Loss {
  readonly isLiving: boolean;
  readonly lost: readonly string[];
  readonly bad: readonly Checkpoint[];
  readonly own: readonly Checkpoint[];
  /** Name of the image that the sandbox was made from, where that is gone. */
  readonly image: string | null;
}

function remedyOf(taskId: TaskId, { isLiving, lost, bad, own, image }: Loss): string {
  const [damaged] = bad;
  const isAll = bad.length === own.length;
  if (!isLiving)
    return isAll || damaged === undefined
      ? `Nothing of it can be brought back. Delete what is damaged: opencode-tools checkpoints delete ${taskId} ${damaged?.id ?? ''}`
      : `Bring a sound one back: opencode-tools recover ${taskId}; and delete what is damaged: opencode-tools checkpoints delete ${taskId} ${damaged.id}`;
  if (lost.length === 0) {
    const first = image === null ? 'Take another' : `Pull or build ${image} unless it is there, and take a checkpoint`;
    const then =
      damaged === undefined
        ? ''
        : `; then delete what is damaged: opencode-tools checkpoints delete ${taskId} ${damaged.id}`;
    return `${first}: opencode-tools checkpoint ${taskId}${then}`;
  }
  const remove = `opencode-tools cleanup-task ${taskId} --force`;
  const sound = own.find((checkpoint) => !bad.includes(checkpoint));
  return sound === undefined
    ? `Delete it, which saves what is left: ${remove}`
    : `Bring it back to a sound checkpoint: opencode-tools restore-checkpoint ${taskId} ${sound.id}; or delete it: ${remove}`;
}
