import { type Change, OpencodeToolsError, type ServiceDependencies, type Task, type TaskStore } from '../src/index.ts';
import { type Kernel, createKernel } from '../src/services/kernel.ts';

type FewDependencies = Omit<Partial<ServiceDependencies>, 'tasks'> & { readonly tasks?: Partial<TaskStore> };

/** The real kernel over only the ports that a test names; any other is absent and fails when it is touched. */
export function kernelOver(few: FewDependencies, nowMs = Date.parse('2026-11-20T09:00:00.000Z')): Kernel {
  return createKernel({ clock: { nowMs: () => nowMs }, ...few } as unknown as ServiceDependencies);
}

/** One task row with the store's rule that a put replaces exactly the version before; nothing is appended. */
export class OneTask {
  task: Task;
  readonly changes: Change[] = [];
  /** Called once before the next commit, as another process would. */
  meanwhile: (() => void) | undefined;

  constructor(task: Task) {
    this.task = task;
  }

  kernel(): Kernel {
    return kernelOver({
      tasks: { getTask: async () => this.task, commit: async (change) => this.#commit(change) },
      notifier: { publish: () => undefined },
    });
  }

  #commit(change: Change): readonly never[] {
    this.meanwhile?.();
    this.meanwhile = undefined;
    let { task } = this;
    for (const put of change.records.flatMap((record) => record.puts)) {
      if (put.noun !== 'task') continue;
      if (put.value.version !== task.version + 1)
        throw new OpencodeToolsError('OCT_VERSION_CONFLICT', 'changed meanwhile');
      task = put.value;
    }
    this.task = task;
    this.changes.push(change);
    return [];
  }
}
