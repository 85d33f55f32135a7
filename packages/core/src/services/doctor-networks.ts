import type { NetworkFacts } from '../ports/network-port.ts';
import type { DoctorFinding } from './doctor-contract.ts';
import type { Kernel } from './kernel.ts';

/** Gateways that do not run, or that somebody took out of a network: what is to leave does not, and no policy says why. */
export async function networkFindings(kernel: Kernel): Promise<readonly DoctorFinding[]> {
  const facts = await kernel.deps.egress.list();
  return [...(await withoutGateway(kernel, facts)), ...facts.flatMap((gateway) => apart(gateway, facts))];
}

/** Sandboxes that run while the gateway does not. One that does not run gets its gateway when it is started. */
async function withoutGateway({ deps }: Kernel, facts: readonly NetworkFacts[]): Promise<readonly DoctorFinding[]> {
  const gateways = facts.filter(({ kind }) => kind === 'gateway');
  if (gateways.some(({ stopped }) => stopped !== true)) return [];
  const networked = facts.filter(({ kind }) => kind === 'network').map(({ taskId }) => taskId);
  if (networked.length === 0) return [];
  const sandboxes = await deps.runtime.list({ homeId: deps.homeId });
  const cutOff = [];
  for (const taskId of networked) {
    if (taskId === null) continue;
    const ref = (await deps.tasks.findSandbox(taskId))?.ref;
    if (sandboxes.some((sandbox) => sandbox.ref === ref && sandbox.state === 'running')) cutOff.push(taskId);
  }
  if (cutOff.length === 0) return [];
  const subject = gateways[0]?.name ?? 'egress gateway';
  const state = gateways.length === 0 ? 'is gone' : 'does not run';
  const message = `The egress gateway ${state}: nothing leaves the running sandboxes of ${cutOff.join(', ')}`;
  const remedy = `Run a command for one of them, which starts it again: opencode-tools exec ${cutOff[0]} -- true`;
  return [{ severity: 'problem', subject, message, remedy }];
}

function apart({ name, apartFrom = [] }: NetworkFacts, facts: readonly NetworkFacts[]): readonly DoctorFinding[] {
  const uplinks = facts.filter(({ kind }) => kind === 'uplink').map((uplink) => uplink.name);
  return apartFrom.map((network) => {
    // A network without the gateway may have been made just now.
    const isNew = !uplinks.includes(network) && facts.some((one) => one.name === network);
    const message = `The egress gateway is not in ${network}: sandboxes reach nothing through it`;
    const remedy = 'Run a command for a task that has a network, or set its policy: it is put back there.';
    return { severity: isNew ? 'warning' : 'problem', subject: name, message, remedy } as const;
  });
}
