import type { Duplex } from 'node:stream';
import type { Containers } from '../engine/containers.ts';
import { baseEnvironment } from '../plan/container-options.ts';
import { Lane } from './lane.ts';
import { supervisorCommand } from './supervisor-command.ts';

/** Starts processes in one container. */
interface Starts {
  open(options: Parameters<Containers['open']>[1]): Promise<{ readonly id: string; readonly stream: Duplex }>;
  watch(id: string): () => Promise<boolean>;
}

interface User {
  readonly uid: number;
  readonly gid: number;
}

/** Starts a container whose main process is a supervisor; what is asked of the lane waits for it there. */
export async function startFirstLane(containers: Containers, id: string): Promise<Lane> {
  return containers.startAttached(id, { stdin: true }, (stream) => new Lane(stream));
}

/**
 * Starts another supervisor in a running container.
 *
 * @param opened called with the lane before anybody answers over it
 */
export async function openLane(starts: Starts, user: User, opened: (lane: Lane) => void): Promise<Lane> {
  const lane = await start(starts, supervisorCommand(user, 'lane'));
  opened(lane);
  await lane.hello();
  return lane;
}

/** Starts a supervisor for one command in the background where those of its container do not know `keep`. */
export async function openSpool(starts: Starts, user: User, limitSeconds: number): Promise<Lane> {
  return start(starts, supervisorCommand(user, 'spool', limitSeconds));
}

async function start(starts: Starts, argv: readonly string[]): Promise<Lane> {
  const { id, stream } = await starts.open({ user: '0:0', env: baseEnvironment, argv });
  return new Lane(stream, starts.watch(id));
}
