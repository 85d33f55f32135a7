import type { ExecutionId } from '../domain/ids.ts';
import type { Task } from '../domain/task.ts';
import { networkCountersScript, unroutablePackets } from '../policy/unroutable-packets.ts';
import type { SandboxHandle } from '../ports/sandbox-runtime.ts';
import type { Kernel } from './kernel.ts';

const limits = { ms: 5_000, bytes: 64 * 1024 };

/**
 * Has the gateway's log say what went to where no route leads. The kernel of the sandbox counts it and tells no address; nobody else
 * sees such a packet. Where it cannot be counted nothing is said.
 */
export async function noteUnroutable(
  { deps }: Kernel,
  task: Task,
  handle: SandboxHandle,
  under: { readonly executionId: ExecutionId; readonly token: number },
): Promise<void> {
  let text = '';
  const onStdout = (chunk: Uint8Array): void => {
    if (text.length < limits.bytes) text += Buffer.from(chunk).toString('latin1');
  };
  try {
    await handle.exec({
      ...under,
      command: { kind: 'script', script: networkCountersScript },
      cwd: '/',
      env: {},
      timeoutMs: limits.ms,
      onStdout,
      onStderr: () => undefined,
    });
    const packets = unroutablePackets(text);
    if (packets !== undefined) await deps.egress.noteUnroutable(task.id, { sandboxRef: handle.ref, packets });
  } catch (error) {
    deps.logger.debug('Packets without a route were not counted', { taskId: task.id, error: String(error) });
  }
}
