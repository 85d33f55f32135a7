import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { once } from 'node:events';
import { type Call, type ServiceDependencies, asOpencodeToolsError, parseId } from '@opencode-tools/core';
import { KillSteps } from '@opencode-tools/testkit/kill-steps';

/*
 * A process that says that it has opened a home, waits for a line, and does one verb with a task: keeps an attempt, restores or deletes a
 * checkpoint, restores `first` under an idempotency key, or recovers the task, under such a key unless that is `-`. At a step it kills itself: before and after any call that changes a file or a
 * row. Prints what became of it.
 *
 * node verb-child.ts <home> <task> <keep, restore, restore-keyed, delete or recover> <what> <step>
 */
const [home = '', task = '', verb = '', what = '', step = ''] = process.argv.slice(2);
const steps = new KillSteps(Number(step));
steps.counting = false;
steps.into(fs, ['linkSync', 'mkdirSync', 'renameSync', 'rmSync', 'writeFileSync']);
steps.into(fs.promises, ['rename', 'rm', 'writeFile', 'mkdir']);
syncBuiltinESMExports();
const { openHome } = await import('../../src/index.ts');

function decorate(ports: ServiceDependencies): ServiceDependencies {
  steps.into(ports.tasks, ['commit']);
  const look = async (reference: string) => ({ id: `sha256:${reference}`, reference }) as never;
  return { ...ports, images: { ...ports.images, ensure: look, find: look } };
}

const call: Call = {
  actor: { kind: 'agent', id: verb, agent: verb, model: null, session: null, onBehalfOf: null },
};
const open = await openHome({ home, cwd: home, environment: {}, decorate });
const { attempts, checkpoints, tasks } = open.services;
const id = parseId('task', task);
const verbs: Readonly<Record<string, () => Promise<unknown>>> = {
  keep: () => attempts.keep(id, what, {}, call),
  restore: () => checkpoints.restore(id, what, {}, call),
  delete: () => checkpoints.delete(id, what, {}, call),
  'restore-keyed': async () => {
    const done = await checkpoints.restore(id, 'first', {}, { ...call, idempotencyKey: what });
    return `${done.checkpoint.name} ${done.saved?.reason ?? 'nothing'}`;
  },
  recover: async () => (await tasks.recover(id, {}, what === '-' ? call : { ...call, idempotencyKey: what })).task.id,
};
process.stdout.write('ready\n');
await once(process.stdin, 'data');
steps.counting = true;
const end = await (verbs[verb] as () => Promise<unknown>)().then(
  (result) => ({ code: 'done', result: typeof result === 'string' ? result : null }),
  (error: unknown) => ({ code: asOpencodeToolsError(error).code, result: String(error) }),
);
steps.counting = false;
await open.close();
process.stdout.write(`${JSON.stringify({ ...end, steps: steps.count })}\n`);
process.exit();
