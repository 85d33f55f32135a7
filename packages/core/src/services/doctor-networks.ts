import type { DoctorFinding } from './doctor-contract.ts';
import type { Kernel } from './kernel.ts';

/** Networks that somebody took the gateway out of: what is to leave through it does not, and no policy says why. */
export async function networkFindings({ deps: { egress } }: Kernel): Promise<readonly DoctorFinding[]> {
  const facts = await egress.list();
  const uplinks = facts.filter(({ kind }) => kind === 'uplink').map(({ name }) => name);
  return facts.flatMap(({ name, apartFrom = [] }) =>
    apartFrom.map((network) => {
      // A network without the gateway may have been made just now.
      const isNew = !uplinks.includes(network) && facts.some((one) => one.name === network);
      const message = `The egress gateway is not in ${network}: sandboxes reach nothing through it`;
      const remedy = 'Run a command for a task that has a network, or set its policy: it is put back there.';
      return { severity: isNew ? 'warning' : 'problem', subject: name, message, remedy } as const;
    }),
  );
}
