import type { SandboxPlan } from '@opencode-tools/core';
import { laneProgram } from '../lane/lane-program.ts';
import { controlDirectory } from '../lane/supervisor-command.ts';
import { baseEnvironment, containerOptions } from '../plan/container-options.ts';

/** Where the program is that no shell can write into the control directory: a volume that goes with the container. */
export const programDirectory = `${controlDirectory}/program`;
const program = `${programDirectory}/oct-lane`;

/** Says what to ask the engine for when the image has no shell: the program itself is what the container starts with. */
export function shelllessOptions(plan: SandboxPlan, architecture: string): Readonly<Record<string, unknown>> {
  laneProgram(architecture);
  const options = containerOptions(plan, architecture) as { readonly HostConfig: HostConfig };
  return {
    ...options,
    Cmd: [program, String(plan.user.uid), String(plan.user.gid), 'first'],
    Env: [...baseEnvironment],
    HostConfig: {
      ...options.HostConfig,
      Mounts: [
        ...options.HostConfig.Mounts,
        { Type: 'volume', Target: programDirectory, ReadOnly: false, VolumeOptions: { NoCopy: true } },
      ],
    },
  };
}

/** Whether a container with this main process was made for an image without a shell. */
export function startsWithoutShell(command: readonly string[]): boolean {
  return command[0] === program;
}

interface HostConfig {
  readonly Mounts: readonly object[];
}
