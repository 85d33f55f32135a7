import type { Containers } from '../engine/containers.ts';
import { baseEnvironment } from '../plan/container-options.ts';
import { Lane } from './lane.ts';
import { supervisorCommand } from './supervisor-command.ts';

interface User {
  readonly uid: number;
  readonly gid: number;
}

/**
 * Connects to the main process of a container that is about to start; what is asked of the lane waits for it there.
 */
export async function attachFirstLane(containers: Containers, id: string): Promise<Lane> {
  return new Lane(await containers.attach(id, { stdin: true }));
}

/** Starts another supervisor in a running container. */
export async function openLane(containers: Containers, id: string, user: User): Promise<Lane> {
  const lane = await start(containers, id, supervisorCommand(user, 'lane'));
  await lane.hello();
  return lane;
}

/** Starts a supervisor for one command in the background, which it takes as a lane does. */
export async function openSpool(containers: Containers, id: string, user: User, limitSeconds: number): Promise<Lane> {
  return start(containers, id, supervisorCommand(user, 'spool', limitSeconds));
}

async function start(containers: Containers, id: string, argv: readonly string[]): Promise<Lane> {
  return new Lane(await containers.exec(id, { user: '0:0', env: baseEnvironment, argv }));
}
