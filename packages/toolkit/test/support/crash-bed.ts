import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { Call, OpenHome, Task, TaskId } from '@opencode-tools/core';
import { type EngineCut, type EngineProxy, openEngineProxy } from '@opencode-tools/testkit';
import { expect } from 'vitest';
import { type TestHome, createTestHome } from './test-home.ts';

export const call: Call = {
  actor: { kind: 'agent', id: 'after', agent: 'after', model: null, session: null, onBehalfOf: null },
};
const child = fileURLToPath(new URL('crash-child.ts', import.meta.url));

/** A home, a process's view of it, and other processes that are killed in the middle of a verb. */
export interface CrashBed {
  readonly home: TestHome;
  readonly open: OpenHome;
  /** Runs a script in the task's sandbox, whoever holds the task. Returns what it wrote. */
  sh(task: TaskId, script: string): Promise<string>;
  /** Says whether the verb was killed before it had done: at a step, or when so much has passed between it and the engine. */
  killedAt(task: TaskId, verb: string, step: number, cut?: Omit<EngineCut, 'reached'>): Promise<boolean>;
  /** The task can be read, worked in and deleted, and leaves nothing. */
  usable(task: Task, contents: readonly string[]): Promise<void>;
  close(): Promise<void>;
}

/** @param more environment variables of all the processes */
export async function openCrashBed(more: Readonly<Record<string, string>> = {}): Promise<CrashBed> {
  const home = await createTestHome();
  const environment = { ...process.env, ...more };
  const open = await home.open({ environment });
  const engine: EngineProxy = await openEngineProxy();
  const sh: CrashBed['sh'] = async (task, script) => {
    const takeover = await open.services.sessions.attach(task, { agent: 'after', takeover: true }, call);
    const run = await open.services.executions.run(
      task,
      { command: { kind: 'script', script }, sessionId: takeover.session.id },
      call,
    );
    await open.services.sessions.detach(takeover.session.id, {}, call);
    return run.stdout.text;
  };
  return {
    home,
    open,
    sh,
    killedAt: async (task, verb, step, cut) => {
      const argv = ['--conditions=@opencode-tools/source', child, home.directory, task, verb, String(step)];
      const env = cut === undefined ? environment : { ...environment, DOCKER_HOST: engine.endpoint };
      const running = spawn(process.execPath, argv, { stdio: ['ignore', 'inherit', 'inherit'], env });
      engine.cut = cut && { ...cut, reached: () => void running.kill('SIGKILL') };
      const [code, signal] = (await once(running, 'exit')) as [number | null, string | null];
      engine.cut = undefined;
      if (signal === 'SIGKILL') return true;
      expect(code).toBe(0);
      return false;
    },
    usable: async (task, contents) => {
      expect(contents).toContain(await sh(task.id, 'cat state'));
      expect(await sh(task.id, 'echo again >state; cat state')).toBe('again\n');
      const view = await open.services.tasks.view(task.id);
      expect(view.runningExecutions).toEqual([]);
      const { items } = await open.services.executions.list(task.id);
      for (const { id } of items) expect((await open.services.executions.get(id)).state).not.toBe('running');
      const { removed } = (await open.services.tasks.delete(task.id, { force: true }, call)).receipt;
      expect(removed.containers).toBe(1);
      // A restore that was cut off after its last transaction leaves what it had not removed of the two volumes it replaced.
      expect([2, 3, 4]).toContain(removed.volumes);
      expect(await home.objectsOf(task.id)).toEqual([]);
    },
    close: async () => {
      await engine.close();
      await open.close();
      await home.remove();
    },
  };
}
