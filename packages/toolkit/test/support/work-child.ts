import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { type Call, type ServiceDependencies, parseId } from '@opencode-tools/core';

/*
 * A process that brings work into a directory, or only opens the home, and sends itself a signal at a step: the moment before or
 * after any call that changes a file, a row or a lease. Prints how many steps there were when it came to its end.
 *
 * node work-child.ts <home> <task> <session> <directory> <apply or open> <step> <signal>
 */
const [home = '', task = '', session = '', directory = '', verb = '', step = '', signal = 'SIGKILL'] =
  process.argv.slice(2);
let steps = 0;
let counting = verb === 'open';

function pass(): void {
  if (!counting) return;
  steps += 1;
  if (steps === Number(step)) process.kill(process.pid, signal);
}

type Method = (...args: unknown[]) => unknown;

function stepInto(target: Record<string, Method>, names: readonly string[]): void {
  for (const name of names) {
    const method = target[name] as Method;
    target[name] = (...args) => {
      pass();
      const result = Reflect.apply(method, target, args);
      if (result instanceof Promise) return result.finally(pass);
      pass();
      return result;
    };
  }
}

stepInto(fs as never, ['linkSync', 'mkdirSync', 'renameSync', 'rmSync', 'rmdirSync', 'symlinkSync', 'unlinkSync']);
stepInto(fs.promises as never, ['rename', 'rm']);
syncBuiltinESMExports();
const { openHome } = await import('../../src/index.ts');

function decorate(ports: ServiceDependencies): ServiceDependencies {
  stepInto(ports.tasks as never, ['commit']);
  stepInto(ports.leases as never, ['renew']);
  return ports;
}

const call: Call = {
  actor: { kind: 'agent', id: 'crash', agent: 'crash', model: null, session: null, onBehalfOf: null },
};
const open = await openHome({ home, cwd: home, environment: {}, decorate });
counting = true;
if (verb === 'apply') {
  const under = { checkpoint: 'changed', sessionId: parseId('session', session), directory };
  await open.services.work.apply(parseId('task', task), under, call);
}
counting = false;
await open.close();
process.stdout.write(String(steps));
