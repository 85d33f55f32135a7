import { Socket } from 'node:net';
import { type Call, type ServiceDependencies, parseId } from '@opencode-tools/core';
import { openHome } from '../../src/index.ts';

/*
 * Changes files of a task and kills itself with SIGKILL at a step: the moment before or after a commit, and before or after anything
 * goes out to the engine, which is where each piece of a script or of content goes. Ends with 0 when there were fewer steps.
 *
 * node file-child.ts <home> <task> <session> <verb> <step>
 */
const [home = '', task = '', session = '', verb = '', step = ''] = process.argv.slice(2);
let steps = 0;
let counting = false;

function pass(): void {
  if (!counting) return;
  steps += 1;
  if (steps === Number(step)) process.kill(process.pid, 'SIGKILL');
}

// oxlint-disable-next-line typescript/unbound-method -- called on the socket that it is called on
const send = Socket.prototype.write as (this: Socket, ...args: unknown[]) => boolean;
Socket.prototype.write = function write(this: Socket, ...args: unknown[]): boolean {
  pass();
  const result = Reflect.apply(send, this, args);
  pass();
  return result;
};

function decorate(ports: ServiceDependencies): ServiceDependencies {
  const commit = ports.tasks.commit.bind(ports.tasks);
  return Object.assign(ports, {
    tasks: Object.assign(ports.tasks, {
      commit: async (change: Parameters<typeof commit>[0]) => {
        pass();
        const records = await commit(change);
        pass();
        return records;
      },
    }),
  });
}

const call: Call = {
  actor: { kind: 'agent', id: 'crash', agent: 'crash', model: null, session: null, onBehalfOf: null },
};
const open = await openHome({ home, cwd: home, environment: process.env, decorate });
const { files } = open.services;
const id = parseId('task', task);
const sessionId = parseId('session', session);
const long = Buffer.alloc(400_000, 'new\n');

async function* pieces(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += 50_000) yield await Promise.resolve(bytes.subarray(at, at + 50_000));
}

const verbs: Record<string, () => Promise<unknown>> = {
  write: () => files.write(id, { sessionId, path: 'file', content: Buffer.from('new\n'.repeat(50)) }, call),
  'write-long': () => files.write(id, { sessionId, path: 'file', content: long }, call),
  'write-stream': () => files.write(id, { sessionId, path: 'file', content: pieces(long) }, call),
  edit: () =>
    files.edit(id, { sessionId, path: 'file', edits: [{ oldText: 'old\n', newText: 'new\n', count: 50 }] }, call),
  remove: () => files.remove(id, { sessionId, path: 'tree', recursive: true }, call),
  'copy-in': () => files.copyIn(id, { sessionId, path: '.', tar: open.hostFiles.pack(`${home}/copied`, 'tree') }, call),
  'copy-out': () =>
    files.copyOut(
      id,
      { sessionId, path: 'tree', take: async (tar) => open.hostFiles.unpack(tar, `${home}/taken`, 'out') },
      call,
    ),
};
// The lane is there already when somebody works in a task.
await files.stat(id, { sessionId, path: '.' }, call);
counting = true;
await verbs[verb]?.();
counting = false;
await open.close();
