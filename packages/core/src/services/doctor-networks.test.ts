import { expect, test } from 'vitest';
import { kernelOver } from '../../test/kernel.ts';
import type { NetworkFacts } from '../ports/network-port.ts';
import { networkFindings } from './doctor-networks.ts';

const network = (kind: NetworkFacts['kind'], name: string, apartFrom?: readonly string[]): NetworkFacts => ({
  kind,
  ref: name,
  name,
  taskId: null,
  createdAt: '2026-11-30T00:00:00.000Z',
  ...(apartFrom === undefined ? {} : { apartFrom }),
});

test.each([
  ['nothing where it is in all', [network('uplink', 'up'), network('network', 'net'), network('gateway', 'gate')], []],
  ['a problem without its uplink', [network('uplink', 'up'), network('gateway', 'gate', ['up'])], ['problem']],
  ['a problem when its uplink is gone', [network('gateway', 'gate', ['its uplink, which is gone'])], ['problem']],
  [
    'a warning for a task, whose network may be new',
    [network('network', 'net'), network('gateway', 'gate', ['net'])],
    ['warning'],
  ],
] as const)('a gateway is told as %s', async (_what, facts, severities) => {
  const kernel = kernelOver({ egress: { list: async () => facts } as never });
  const found = await networkFindings(kernel);
  expect(found.map(({ severity }) => severity)).toEqual(severities);
  for (const { subject, message, remedy } of found) {
    expect([subject, message]).toEqual(['gate', expect.stringMatching(/^The egress gateway is not in /)]);
    expect(remedy).toMatch(/^Run a command /);
  }
});

const taskId = 'tsk_00000000000000000000000001';
const ofTask = { ...network('network', 'net'), taskId } as const;
const stopped = { ...network('gateway', 'gate'), stopped: true } as const;

test.each([
  [
    'a problem when it is stopped while a sandbox needs it',
    [ofTask, stopped],
    'running',
    'The egress gateway does not run',
  ],
  ['a problem when it is gone while a sandbox needs it', [ofTask], 'running', 'The egress gateway is gone'],
  ['nothing while no sandbox runs that needs it', [ofTask, stopped], 'stopped', undefined],
  ['nothing without a task that needs it', [stopped], 'running', undefined],
  ['nothing while it runs', [ofTask, network('gateway', 'gate')], 'running', undefined],
] as const)('a gateway is told as %s', async (_what, facts, state, message) => {
  const kernel = kernelOver({
    egress: { list: async () => facts } as never,
    runtime: { list: async () => [{ ref: 'box', state }] } as never,
    tasks: { findSandbox: async () => ({ ref: 'box' }) as never },
  });
  const found = await networkFindings(kernel);
  expect(found).toEqual(
    message === undefined
      ? []
      : [
          {
            severity: 'problem',
            subject: facts.length === 2 ? 'gate' : 'egress gateway',
            message: `${message}: nothing leaves the running sandboxes of ${taskId}`,
            remedy: `Run a command for one of them, which starts it again: opencode-tools exec ${taskId} -- true`,
          },
        ],
  );
});
