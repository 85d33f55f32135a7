import type { Task } from '../domain/task.ts';
import { defaultMaxLimits } from '../domain/sandbox-spec.ts';
import { shortId } from '../domain/ids.ts';
import type { Kernel } from './kernel.ts';
import type { SandboxKeeper } from './sandbox-keeper.ts';

const mebibyte = 1024 ** 2;

/** Tells the caller of a command that was ended for want of memory which limit it met, how near it came, and what to ask for. */
export async function memoryStory(kernel: Kernel, keeper: SandboxKeeper, task: Task): Promise<string> {
  const { memoryBytes } = task.sandboxSpec.limits;
  const peak = await peakOf(keeper, task);
  const most = (kernel.deps.defaults.maxLimits ?? defaultMaxLimits).memoryBytes;
  const next = Math.min(most, memoryBytes * 2);
  const used = peak === null ? '' : ` At most ${bytesInWords(peak)} were in use since the sandbox was started.`;
  const ask =
    next > memoryBytes
      ? `Ask for more, such as ${bytesInWords(next)}: opencode-tools sandbox request ${shortId(task.id)} --memory ${Math.round(next / mebibyte)}MiB, or the tool request_task_limits.`
      : 'That is the most a sandbox may have here: use less, for example by fewer jobs at once.';
  return `The kernel ended a process for want of memory. The sandbox may use ${bytesInWords(memoryBytes)}, memory, swap and /tmp together.${used} ${ask}`;
}

async function peakOf(keeper: SandboxKeeper, task: Task): Promise<number | null> {
  try {
    return (await (await keeper.find(task.id))?.handle.stats())?.memoryPeakBytes ?? null;
  } catch {
    return null;
  }
}

/** Such as `512 MiB` or `1.5 GiB`. */
export function bytesInWords(bytes: number): string {
  const gibibytes = bytes / 1024 ** 3;
  if (gibibytes >= 1) return `${Number(gibibytes.toFixed(1))} GiB`;
  return `${Math.round(bytes / mebibyte)} MiB`;
}
