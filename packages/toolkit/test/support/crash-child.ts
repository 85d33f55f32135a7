import { createReadStream } from 'node:fs';
import { join } from 'node:path';
import { type Call, type ServiceDependencies, parseId } from '@opencode-tools/core';
import { KillSteps } from '@opencode-tools/testkit/kill-steps';
import { openHome } from '../../src/index.ts';

/**
 * Runs one verb and kills itself with SIGKILL at a given step. A step is the moment before or after any call that changes
 * something: a commit, a lease, a container, a volume, an image, a snapshot.
 *
 * argv: home, task id, verb, step. Ends with 0 when the verb needed fewer steps.
 */
const [home = '', task = '', verb = '', step = ''] = process.argv.slice(2);
const steps = new KillSteps(Number(step));

function decorate(ports: ServiceDependencies): ServiceDependencies {
  const volumes = steps.around(ports.runtime.volumes, ['create', 'writeTree', 'remove']);
  const handles = async <T extends object | undefined>(found: Promise<T>): Promise<T> => {
    const handle = await found;
    return (
      handle === undefined
        ? handle
        : steps.around(
            handle as object,
            ['exec', 'fence', 'destroy', 'pause', 'unpause', 'snapshotRoot', 'endAll', 'stop'] as never,
          )
    ) as T;
  };
  const create = steps.around(ports.runtime, ['create']);
  const runtime = new Proxy(ports.runtime, {
    get: (object, member) => {
      if (member === 'volumes') return volumes;
      if (member === 'create') return (...args: Parameters<typeof object.create>) => handles(create.create(...args));
      if (member === 'find') return (ref: string) => handles(object.find(ref));
      const value: unknown = Reflect.get(object, member, object);
      return typeof value === 'function' ? (value.bind(object) as unknown) : value;
    },
  });
  return {
    ...ports,
    runtime,
    tasks: steps.around(ports.tasks, ['commit']),
    housekeeping: steps.around(ports.housekeeping, [
      'addPooled',
      'replacePooled',
      'removePooled',
      'keepHouse',
      'leaveHouse',
    ]),
    leases: steps.around(ports.leases, ['acquire', 'confirm', 'release', 'revoke']),
    work: steps.around(ports.work, ['apply', 'settle', 'forget']),
    workspaces: steps.around(ports.workspaces, ['freeze', 'provision', 'importTrees']),
    images: steps.around(ports.images, ['load', 'remove']),
  };
}

const call: Call = {
  actor: { kind: 'agent', id: 'crash', agent: 'crash', model: null, session: null, onBehalfOf: null },
};
const open = await openHome({ home, cwd: home, environment: process.env, decorate });
const id = parseId('task', task);
const verbs: Record<string, () => Promise<unknown>> = {
  exec: () => open.services.executions.run(id, { command: { kind: 'script', script: 'echo new >state' } }, call),
  checkpoint: () => open.services.checkpoints.create(id, { name: 'second' }, call),
  restore: () => open.services.checkpoints.restore(id, 'first', {}, call),
  import: () => {
    const stream = createReadStream(join(home, 'exported.tar')) as AsyncIterable<Uint8Array>;
    return open.services.checkpoints.import(id, stream, { name: 'taken in', root: true }, call);
  },
  apply: () => open.services.work.apply(id, { checkpoint: 'first' }, call),
  stop: () => open.services.tasks.stop(id, {}, call),
  delete: () => open.services.tasks.delete(id, {}, call),
  pool: async () => {
    open.services.housekeeper.start();
    await open.services.housekeeper.turn();
    await open.services.executions.run(id, { command: { kind: 'script', script: 'echo new >state' } }, call);
    await open.services.housekeeper.turn();
    await open.close();
  },
  reap: () => open.services.housekeeper.reap({ dryRun: false }, call),
};
await verbs[verb]?.();
await open.close();
