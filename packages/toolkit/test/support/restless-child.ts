import { type Call, type SessionId, isOpencodeToolsError, parseId } from '@opencode-tools/core';
import { randomFrom } from '@opencode-tools/testkit';
import { openHome } from '../../src/index.ts';

/*
 * Works in a task, or stops, starts and pauses its sandbox, over and over, and prints a line of JSON for each call: what it was, how it
 * ended, how long it took.
 *
 * node restless-child.ts <home> <task> <session> <work or disturb> <seed> <milliseconds>
 */
const [home = '', task = '', session = '', role = '', seed = '', forMs = ''] = process.argv.slice(2);
const random = randomFrom(Number(seed));
const id = parseId('task', task);
const sessionId: SessionId = parseId('session', session);
const call: Call = {
  actor: { kind: 'agent', id: role, agent: role, model: null, session: null, onBehalfOf: null },
};
const open = await openHome({ home, cwd: home, environment: process.env });
const { executions, files, sandboxes } = open.services;
const under = { sessionId };

type Verb = (number: number) => Promise<string>;

const append = (number: number): string => `sleep 0.0${Math.floor(random() * 10)}; echo ${number} >>log`;

const work: Readonly<Record<string, Verb>> = {
  run: async (number) => {
    const command = { kind: 'script', script: append(number) } as const;
    const { execution } = await executions.run(id, { command, ...under }, call);
    return execution.reason ?? execution.state;
  },
  background: async (number) => {
    const command = { kind: 'script', script: append(number) } as const;
    const started = await executions.start(id, { command, ...under }, call);
    const ended = await executions.wait(started.id, { timeoutMs: 20_000 }, call);
    return ended.reason ?? ended.state;
  },
  write: async (number) => {
    await files.write(id, { path: `written-${number}`, content: Buffer.from(`${number}\n`), ...under }, call);
    return 'exited';
  },
  read: async () => {
    await files.list(id, under, call);
    return 'exited';
  },
};
const disturb: Readonly<Record<string, Verb>> = {
  stop: async () => (await sandboxes.stop(id, { graceMs: 0, ...under }, call))?.state ?? 'absent',
  pause: async () => (await sandboxes.pause(id, call)).state,
  unpause: async () => (await sandboxes.unpause(id, call)).state,
  start: async () => (await sandboxes.start(id, under, call)).state,
  restart: async () => (await sandboxes.restart(id, { graceMs: 0, ...under }, call)).state,
};

const verbs = Object.entries(role === 'work' ? work : disturb);
const until = performance.now() + Number(forMs);
for (let number = 1; performance.now() < until; number += 1) {
  const [name, verb] = verbs[Math.floor(random() * verbs.length)] ?? verbs[0] ?? ['', async () => ''];
  const from = performance.now();
  // A command may wait 20 s while the sandbox stays paused, and an answer that never comes is waited for 15 s.
  const late = setTimeout(() => {
    process.stdout.write(`${JSON.stringify({ name, number, end: 'HANGS' })}\n`, () => process.exit(3));
  }, 90_000);
  const end = await verb(number).catch((error: unknown) =>
    isOpencodeToolsError(error) ? `${error.code}: ${error.message}` : `UNTYPED: ${String(error)}`,
  );
  clearTimeout(late);
  const ms = Math.round(performance.now() - from);
  process.stdout.write(`${JSON.stringify({ name, number, end, ms })}\n`);
  if (role === 'disturb') await new Promise((resolve) => setTimeout(resolve, random() * 150));
}
await open.close();
