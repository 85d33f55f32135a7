import { type Call, parseId } from '@opencode-tools/core';
import { openHome } from '../../src/index.ts';

/*
 * Runs a script under an idempotency key, and kills itself with SIGKILL once the script has put something out.
 *
 * node keyed-child.ts <home> <task> <session or nothing> <key> <script>
 */
const [home = '', task = '', session = '', idempotencyKey = '', script = ''] = process.argv.slice(2);
const call: Call = {
  actor: { kind: 'agent', id: 'crash', agent: 'crash', model: null, session: null, onBehalfOf: null },
  idempotencyKey,
};
const { services } = await openHome({ home, cwd: home, environment: process.env });
const onOutput = (): void => void setTimeout(() => process.kill(process.pid, 'SIGKILL'), 100);
const under = session === '' ? {} : { sessionId: parseId('session', session) };
const options = { command: { kind: 'script', script }, ...under, onOutput } as const;
await services.executions.run(parseId('task', task), options, call);
