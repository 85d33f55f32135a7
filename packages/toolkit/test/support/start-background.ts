import { type Call, parseId } from '@opencode-tools/core';
import { openHome } from '../../src/index.ts';

/**
 * Starts a script in the background of a task, writes its id to standard output, and stays.
 *
 * argv: home, task id, session id, script.
 */
const [home = '', task = '', session = '', script = ''] = process.argv.slice(2);
const call: Call = {
  actor: { kind: 'agent', id: 'starter', agent: 'starter', model: null, session: null, onBehalfOf: null },
};
const { services } = await openHome({ home, cwd: home, environment: process.env });
const started = await services.executions.start(
  parseId('task', task),
  { command: { kind: 'script', script }, sessionId: parseId('session', session) },
  call,
);
process.stdout.write(`${started.id}\n`);
setInterval(() => undefined, 60_000);
