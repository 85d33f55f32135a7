import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { type Call, type ServiceDependencies, parseId } from '@opencode-tools/core';
import { KillSteps } from '@opencode-tools/testkit/kill-steps';

/*
 * A process that brings work into a directory, commits it there, or only opens the home, and sends itself a signal at a step: the
 * moment before or after any call that changes a file, a row or a lease. Prints how many steps there were when it came to its end.
 *
 * node work-child.ts <home> <task> <session> <directory> <apply, commit or open> <step> <signal>
 */
const [home = '', task = '', session = '', directory = '', verb = '', step = '', signal = 'SIGKILL'] =
  process.argv.slice(2);
const steps = new KillSteps(Number(step), signal);
steps.counting = verb === 'open';

steps.into(fs, ['linkSync', 'mkdirSync', 'renameSync', 'rmSync', 'rmdirSync', 'symlinkSync', 'unlinkSync']);
steps.into(fs.promises, ['rename', 'rm']);
syncBuiltinESMExports();
const { openHome } = await import('../../src/index.ts');

function decorate(ports: ServiceDependencies): ServiceDependencies {
  steps.into(ports.tasks, ['commit']);
  steps.into(ports.leases, ['renew']);
  return ports;
}

const call: Call = {
  actor: { kind: 'agent', id: 'crash', agent: 'crash', model: null, session: null, onBehalfOf: null },
};
const open = await openHome({ home, cwd: home, environment: {}, decorate });
steps.counting = true;
if (verb === 'apply') {
  const under = { checkpoint: 'changed', sessionId: parseId('session', session), directory };
  await open.services.work.apply(parseId('task', task), under, call);
}
if (verb === 'commit') {
  const under = { sessionId: parseId('session', session), message: 'Commit it', author: 'Ada <ada@example.org>' };
  await open.services.work.commit(parseId('task', task), under, call);
}
steps.counting = false;
await open.close();
process.stdout.write(String(steps.count));
