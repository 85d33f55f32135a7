import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import type { OpenHome, SessionId, TaskId } from '@opencode-tools/core';
import { testSeed } from '@opencode-tools/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type TestHome, createTestHome, tester as call } from './support/test-home.ts';

const child = fileURLToPath(new URL('support/restless-child.ts', import.meta.url));
const seed = testSeed();
const forMs = process.env['OPENCODE_TOOLS_SOAK'] === '1' ? 90_000 : 6_000;

/** What a call may be told when the sandbox goes away under it or is being changed; each with a remedy. */
const toldWhy = /^OCT_(SANDBOX_NOT_FOUND|VERSION_CONFLICT|RESOURCE_LIMIT): /;
const ends = ['exited', 'sandbox-gone', 'owner-died', 'cancelled', 'running', 'stopped', 'paused'];

interface Line {
  readonly name: string;
  readonly number: number;
  readonly end: string;
  readonly ms: number;
}

console.info(`two processes on one task: OPENCODE_TOOLS_SEED=${seed}`);

describe(`one process works in a task while another stops and starts its sandbox (seed ${seed})`, () => {
  let home: TestHome;
  let open: OpenHome;
  beforeAll(async () => {
    home = await createTestHome();
    open = await home.open();
  });
  afterAll(async () => {
    await open.close();
    await home.remove();
  });

  async function run(task: TaskId, session: SessionId, role: string, own: number): Promise<readonly Line[]> {
    const argv = ['--conditions=@opencode-tools/source', child, home.directory, task, session, role];
    const running = spawn(process.execPath, [...argv, String(seed + own), String(forMs)], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const said = text(running.stdout);
    const [code] = (await once(running, 'exit')) as [number | null];
    const lines = (await said).split('\n').filter((line) => line !== '');
    if (code !== 0) throw new Error(`${role} ended with ${code}:\n${lines.slice(-5).join('\n')}`);
    return lines.map((line) => JSON.parse(line) as Line);
  }

  it.each(['one session', 'a session each'])(
    'with %s nothing hangs, no command is lost or run twice, and whoever fails is told why',
    async (how) => {
      const { executions, ledger, sessions, tasks } = open.services;
      const shared = how === 'one session';
      const more = shared ? {} : ({ leaseMode: 'collaborative', maxAgents: 2 } as const);
      const { id } = await tasks.create({ title: how, image: home.image, ...more }, call);
      const { session } = await sessions.attach(id, { agent: 'works' }, call);
      const other = shared ? session : (await sessions.attach(id, { agent: 'disturbs' }, call)).session;
      const under = { sessionId: session.id };
      const sh = async (script: string): Promise<string> =>
        (await executions.run(id, { command: { kind: 'script', script }, ...under }, call)).stdout.text;
      await sh(': >log');
      const [worked, disturbed] = await Promise.all([run(id, session.id, 'work', 0), run(id, other.id, 'disturb', 1)]);
      const all = [...worked, ...disturbed];
      const odd = all.filter(({ end }) => !ends.includes(end) && !toldWhy.test(end));
      expect(odd).toEqual([]);
      // Each waits for the other, and on a busy machine for the engine.
      expect(worked.length).toBeGreaterThan(4);
      expect(disturbed.length).toBeGreaterThan(2);
      expect(worked.some(({ end }) => end === 'exited')).toBe(true);

      const log = (await sh('cat log')).split('\n').filter((line) => line !== '');
      const times = (number: number): number => log.filter((line) => line === String(number)).length;
      for (const { name, number, end } of worked.filter((line) => line.name === 'run' || line.name === 'background'))
        expect({ name, number, end, times: times(number) }).toMatchObject({
          times: end === 'exited' ? 1 : (expect.toSatisfy((count: number) => count <= 1) as number),
        });
      const view = await tasks.view(id);
      expect(view.runningExecutions).toEqual([]);
      const records = await ledger.history(id, { limit: 10_000 });
      const byOperation = Map.groupBy(
        records.filter(({ type, operationId }) => /^(execution|file)\./.test(type) && operationId !== null),
        ({ operationId }) => operationId,
      );
      for (const of of byOperation.values()) {
        const types = of.map(({ type }) => type.split('.')[1]).filter((verb) => verb !== 'tripped');
        expect(types.filter((verb) => verb === 'requested')).toHaveLength(1);
        expect(types.filter((verb) => ['completed', 'failed', 'interrupted'].includes(verb ?? ''))).toHaveLength(1);
      }
      expect((await ledger.verify(id)).ok).toBe(true);
      await tasks.delete(id, { force: true }, call);
    },
    300_000,
  );
});
