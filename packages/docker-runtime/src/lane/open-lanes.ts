import type { Containers } from '../engine/containers.ts';
import { baseEnvironment } from '../plan/container-options.ts';
import { Lane } from './lane.ts';
import { supervisor, supervisorCommand, supervisorVariable } from './supervisor.ts';

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

/**
 * Starts another supervisor in a running container.
 *
 * @param as `root`, which can change to the user; or `user`, for images where nothing can
 */
export async function openLane(containers: Containers, id: string, user: User, as: 'root' | 'user'): Promise<Lane> {
  const stream = await containers.exec(id, {
    user: as === 'root' ? '0:0' : `${user.uid}:${user.gid}`,
    env: [...baseEnvironment, `${supervisorVariable}=${supervisor}`],
    argv: supervisorCommand(user, 'lane'),
  });
  const lane = new Lane(stream);
  await lane.hello();
  return lane;
}
