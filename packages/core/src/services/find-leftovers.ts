import type { TaskId } from '../domain/ids.ts';
import { isId, parseId } from '../domain/ids.ts';
import type { Kernel } from './kernel.ts';
import type { DoctorFinding } from './services.ts';

const homeLabel = 'io.opencode-tools.home';
const taskLabel = 'io.opencode-tools.task';
const operationLabel = 'io.opencode-tools.operation';

/**
 * Finds volumes, helper containers and images of root file systems of this home that no row, checkpoint or open operation
 * knows. Only says what there is: what is no row's may still be somebody's work.
 */
export async function findLeftovers(kernel: Kernel): Promise<readonly DoctorFinding[]> {
  const { runtime, images, homeId } = kernel.deps;
  const volumes = await runtime.volumes.list({ [homeLabel]: homeId });
  const helpers = await runtime.listHelpers({ homeId });
  const roots = await images.list({ labels: { [homeLabel]: homeId, 'io.opencode-tools.kind': 'root' } });
  const known = await knownObjects(kernel, roots);
  // An operation is open before its helper exists, and every helper serves one.
  const idle = known.operations.size === 0 ? helpers : [];
  return [
    ...volumes
      .filter(({ name, labels }) => !known.names.has(name) && !known.operations.has(labels[operationLabel] ?? ''))
      .map(({ name, labels }) =>
        leftover(name, `This volume${ofTask(labels)} is in no row of the registry`, `docker volume rm ${name}`),
      ),
    ...idle.map(({ name, ref }) => leftover(name, 'This helper container serves no operation', `docker rm ${ref}`)),
    ...roots
      .filter(({ id, labels }) => !known.names.has(id) && !known.operations.has(labels[operationLabel] ?? ''))
      .map(({ id, references, labels }) =>
        leftover(
          references[0] ?? id,
          `This root file system${ofTask(labels)} belongs to no checkpoint and no sandbox`,
          `docker rmi ${references[0] ?? id}`,
        ),
      ),
  ];
}

interface Known {
  /** Names of volumes and content ids of images. */
  readonly names: ReadonlySet<string>;
  readonly operations: ReadonlySet<string>;
}

async function knownObjects(
  kernel: Kernel,
  roots: readonly { readonly labels: Readonly<Record<string, string>> }[],
): Promise<Known> {
  const { tasks, checkpoints } = kernel.deps;
  const operations = new Set((await tasks.listOpenOperations()).map(({ id }) => id));
  const names = new Set<string>();
  for (const { workspaceVolume, homeVolume, imageId } of await tasks.listSandboxes()) {
    for (const name of [workspaceVolume, homeVolume, imageId]) if (name !== null) names.add(name);
  }
  const owners = new Set(roots.flatMap(({ labels }) => taskOf(labels)));
  for (const owner of owners) {
    for (const { root } of await checkpoints.list(owner)) {
      if (root !== null) names.add(root.imageId).add(root.baseImageId);
    }
  }
  return { names, operations };
}

function taskOf(labels: Readonly<Record<string, string>>): readonly TaskId[] {
  const task = labels[taskLabel] ?? '';
  return isId('task', task) ? [parseId('task', task)] : [];
}

function ofTask(labels: Readonly<Record<string, string>>): string {
  return taskOf(labels)
    .map((task) => ` of task ${task}`)
    .join('');
}

function leftover(subject: string, message: string, removal: string): DoctorFinding {
  const remedy = `When nothing in it is needed, remove it: ${removal}`;
  return { severity: 'warning', subject, message, remedy };
}
