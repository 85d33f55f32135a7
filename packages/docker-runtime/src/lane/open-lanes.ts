import type { Containers } from '../engine/containers.ts';
import { baseEnvironment } from '../plan/container-options.ts';
import { Lane } from './lane.ts';
import { supervisorCommand, supervisorVariable } from './supervisor-command.ts';
import { supervisor } from './supervisor.ts';

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
    user: userOf(user, as),
    env: environment,
    argv: supervisorCommand(user, 'lane'),
  });
  const lane = new Lane(stream);
  await lane.hello();
  return lane;
}

/** Starts a supervisor for one command in the background, which it takes as a lane does. */
export async function openSpool(
  containers: Containers,
  id: string,
  user: User,
  options: { readonly as: 'root' | 'user'; readonly limitSeconds: number },
): Promise<Lane> {
  return new Lane(
    await containers.exec(id, {
      user: userOf(user, options.as),
      env: environment,
      argv: supervisorCommand(user, 'spool', options.limitSeconds),
    }),
  );
}

const environment = [...baseEnvironment, `${supervisorVariable}=${supervisor}`];

function userOf({ uid, gid }: User, as: 'root' | 'user'): string {
  return as === 'root' ? '0:0' : `${uid}:${gid}`;
}
