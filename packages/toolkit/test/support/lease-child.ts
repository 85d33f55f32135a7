import { type Call, parseId } from '@opencode-tools/core';
import { openHome } from '../../src/index.ts';

/*
 * Begins to write a note, and kills itself with SIGKILL once it has a lease for that, before anything is open.
 *
 * node lease-child.ts <home> <task>
 */
const [home = '', task = ''] = process.argv.slice(2);
const call: Call = {
  actor: { kind: 'agent', id: 'crash', agent: 'crash', model: null, session: null, onBehalfOf: null },
};
const { services } = await openHome({
  home,
  cwd: home,
  environment: {},
  decorate: (ports) => ({
    ...ports,
    leases: {
      ...ports.leases,
      acquire: async (request) => {
        await ports.leases.acquire(request);
        process.kill(process.pid, 'SIGKILL');
        return new Promise(() => undefined);
      },
    },
  }),
});
await services.journal.addNote(parseId('task', task), { text: 'never written' }, call);
