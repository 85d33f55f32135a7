import { once } from 'node:events';
import { type Call, asOpencodeToolsError, parseId } from '@opencode-tools/core';
import { openHome } from '../../src/index.ts';

/*
 * A process that says that it has opened a home, waits for a line, and does one verb with a task on the real engine. Prints what became of it.
 *
 * node engine-verb-child.ts <home> <task> <restore, drop, fork, delete or seize> <checkpoint>
 */
const [home = '', task = '', verb = '', what = ''] = process.argv.slice(2);
const call: Call = {
  actor: { kind: 'agent', id: verb, agent: verb, model: null, session: null, onBehalfOf: null },
};
const open = await openHome({ home, cwd: home, environment: process.env });
const { checkpoints, executions, tasks } = open.services;
const id = parseId('task', task);
const verbs: Readonly<Record<string, () => Promise<unknown>>> = {
  restore: () => checkpoints.restore(id, what, {}, call),
  drop: () => checkpoints.delete(id, what, {}, call),
  fork: async () => {
    const { id: fork } = await tasks.fork(id, { checkpoint: what }, call);
    return (await executions.run(fork, { command: { kind: 'script', script: 'cat state' } }, call)).stdout.text;
  },
  delete: () => tasks.delete(id, {}, call),
  seize: () => tasks.delete(id, { force: true }, call),
};
process.stdout.write('ready\n');
await once(process.stdin, 'data');
const end = await (verbs[verb] as () => Promise<unknown>)().then(
  (result) => ({ code: 'done', result: typeof result === 'string' ? result : null }),
  (error: unknown) => ({ code: asOpencodeToolsError(error).code, result: String(error) }),
);
await open.close();
process.stdout.write(`${JSON.stringify(end)}\n`);
process.exit();
