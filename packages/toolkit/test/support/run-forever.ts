import { parseId } from '@opencode-tools/core';
import { openHome } from '../../src/index.ts';

const [home = '', task = '', session = ''] = process.argv.slice(2);
const open = await openHome({ home, cwd: home, environment: process.env });
await open.services.executions.run(
  parseId('task', task),
  {
    command: { kind: 'script', script: 'echo started; setsid sleep 7777 & sleep 7777' },
    sessionId: parseId('session', session),
    onOutput: (_stream, chunk) => process.stdout.write(chunk),
  },
  { actor: { kind: 'agent', id: 'a', agent: 'a', model: null, session: null, onBehalfOf: null } },
);
