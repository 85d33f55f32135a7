import { defaultMaxLimits } from '../domain/sandbox-spec.ts';
import { shortId } from '../domain/ids.ts';
import type { Task } from '../domain/task.ts';
import type { Kernel } from './kernel.ts';
import type { SandboxKeeper } from './sandbox-keeper.ts';

/** How shells and language runtimes say that the kernel made no process or thread for them. */
const noProcess =
  /can(?:not|'t) fork|fork:.*Resource temporarily unavailable|spawn \S+ EAGAIN|unable to create (?:new )?(?:native )?thread|can't start new thread|pthread_create.*Resource temporarily unavailable/i;

/** Tells the caller of a command that could make no further process which limit it met, and what to ask for; else nothing. */
export async function processStory(
  kernel: Kernel,
  keeper: SandboxKeeper,
  task: Task,
  complaint: string,
): Promise<readonly string[]> {
  if (!noProcess.test(complaint)) return [];
  const { pids } = task.sandboxSpec.limits;
  const running = await runningIn(keeper, task);
  const most = (kernel.deps.defaults.maxLimits ?? defaultMaxLimits).pids;
  const next = Math.min(most, pids * 2);
  const now = running === null ? '' : `, and ${running} run now`;
  const ask =
    next > pids
      ? `End what was left running, or ask for more, such as ${next}: opencode-tools sandbox request ${shortId(task.id)} --pids ${next}, or the tool request_task_limits.`
      : 'That is the most a sandbox may have here: end what was left running, or run fewer jobs at once.';
  return [
    `A process or thread could not be made. The sandbox may have ${pids} processes and threads at once${now}. ${ask}`,
  ];
}

async function runningIn(keeper: SandboxKeeper, task: Task): Promise<number | null> {
  try {
    return (await (await keeper.find(task.id))?.handle.stats())?.processes ?? null;
  } catch {
    return null;
  }
}
