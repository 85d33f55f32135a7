import type { Operation } from '../domain/operation.ts';
import type { Kernel } from './kernel.ts';

/** Removes the container and the new volumes of an operation that did not complete. Idempotent. */
export async function removeTraces(kernel: Kernel, operation: Operation): Promise<void> {
  const { runtime, homeId } = kernel.deps;
  for (const facts of await runtime.list({ homeId, taskId: operation.taskId, operationId: operation.id })) {
    await (await runtime.find(facts.ref))?.destroy();
  }
  // A sandbox of the pool carries no label of this operation.
  const { ref, pooled } = operation.intent;
  if (typeof ref === 'string') await (await runtime.find(ref))?.destroy();
  const made = operation.intent['madeVolumes'];
  for (const volume of Array.isArray(made) ? made : []) {
    if (typeof volume === 'string') await runtime.volumes.remove(volume);
  }
  if (typeof pooled !== 'string') return;
  const { housekeeping } = kernel.deps;
  for (const entry of await housekeeping.listPooled()) if (entry.id === pooled) await housekeeping.removePooled(entry);
}
