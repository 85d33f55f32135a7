import type { SandboxPlan } from '@opencode-tools/core';
import type { ContainerDescription } from '../engine/containers.ts';
import { baseEnvironment, containerOptions } from '../plan/container-options.ts';
import type { SandboxUser } from '../sandbox/sandbox-inside.ts';

/** Where the keeper and its fence are: a volume that goes with the container, in which only root can write. */
export const keeperDirectory = '/run/oct';
export const keeperPath = `${keeperDirectory}/keeper`;

/**
 * Says what to ask the engine for when the image has no shell: the keeper is the main process, which nothing inside can end, and
 * takes the place of an init. It ends when it is killed.
 */
export function keeperOptions(plan: SandboxPlan, architecture: string): Readonly<Record<string, unknown>> {
  const options = containerOptions(plan, architecture) as { readonly HostConfig: HostConfig };
  const { [keeperDirectory]: _, ...tmpfs } = options.HostConfig.Tmpfs;
  return {
    ...options,
    Cmd: [keeperPath, 'hold', String(plan.user.uid), String(plan.user.gid)],
    Env: [...baseEnvironment],
    StopSignal: 'SIGKILL',
    OpenStdin: false,
    StdinOnce: false,
    AttachStdin: false,
    HostConfig: {
      ...options.HostConfig,
      Init: false,
      Tmpfs: tmpfs,
      Mounts: [
        ...options.HostConfig.Mounts,
        { Type: 'volume', Target: keeperDirectory, ReadOnly: false, VolumeOptions: { NoCopy: true } },
      ],
    },
  };
}

/** Whom commands run as in a container with a keeper; undefined for any other. */
export function keptUser({ Config, HostConfig }: ContainerDescription): SandboxUser | undefined {
  const [program, verb, uid, gid] = Config.Cmd ?? [];
  if (program !== keeperPath || verb !== 'hold') return undefined;
  return { uid: Number(uid), gid: Number(gid), pids: HostConfig.PidsLimit ?? null };
}

interface HostConfig {
  readonly Tmpfs: Readonly<Record<string, string>>;
  readonly Mounts: readonly object[];
}
