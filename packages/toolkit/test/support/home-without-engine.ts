import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import type { Call, Clock, OpenHome, ServiceDependencies, Task, CreateTask } from '@opencode-tools/core';
import { openHome } from '../../src/index.ts';

export interface EnginelessHome {
  readonly clock: Clock & { move(ms: number): void };
  /** The ports of the first opened home. */
  readonly ports: ServiceDependencies;
  readonly open: OpenHome;
  /** Another process's view of the same home. */
  openAgain(): Promise<OpenHome>;
  create(input?: Partial<CreateTask>): Promise<Task>;
  remove(): Promise<void>;
}

export function callBy(agent: string): Call {
  return { actor: { kind: 'agent', id: agent, agent, model: null, session: null, onBehalfOf: null } };
}

/**
 * A real home with its registry, for verbs that never touch a sandbox: the lookup of images needs no engine here.
 *
 * @param more ports to put in place of the home's own
 */
export async function createEnginelessHome(
  more: (ports: ServiceDependencies) => Partial<ServiceDependencies> = () => ({}),
): Promise<EnginelessHome> {
  const directory = await mkdtemp(path.join(os.tmpdir(), 'oct-coordination-'));
  let aheadMs = 0;
  const clock = { nowMs: () => Date.now() + aheadMs, move: (ms: number) => void (aheadMs += ms) };
  let ports: ServiceDependencies | undefined;
  const opened: OpenHome[] = [];
  const openAgain = async (): Promise<OpenHome> => {
    const home = await openHome({
      home: directory,
      cwd: directory,
      environment: {},
      clock,
      decorate: (given) => {
        ports ??= given;
        const look = async (reference: string) => facts(reference);
        const images = { ...given.images, ensure: look, find: look };
        return { ...given, images, ...more(given) };
      },
    });
    opened.push(home);
    return home;
  };
  const open = await openAgain();
  if (ports === undefined) throw new Error('The home was opened without its ports');
  return {
    clock,
    ports,
    open,
    openAgain,
    create: (input) =>
      open.services.tasks.create({ title: 'Shared', leaseMode: 'collaborative', ...input }, callBy('ada')),
    remove: async () => {
      for (const home of opened) await home.close();
      await rm(directory, { recursive: true, force: true });
    },
  };
}

function facts(reference: string): never {
  return { id: `sha256:${reference}`, reference } as never;
}
