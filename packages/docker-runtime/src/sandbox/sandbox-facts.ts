import type { HomeId, OperationId, SandboxFacts, SandboxPlan, TaskId } from '@opencode-tools/core';
import type { ContainerDescription } from '../engine/containers.ts';
import { labelKeys } from '../plan/labels.ts';
import { startsWithoutShell } from '../shellless/shellless-options.ts';
import type { SandboxUser } from './sandbox-inside.ts';

const states = {
  created: 'creating',
  running: 'running',
  paused: 'paused',
  restarting: 'running',
  removing: 'failed',
  exited: 'stopped',
  dead: 'failed',
} as const;

/** Reads a sandbox off the engine's description of its container. */
export function sandboxFacts(container: ContainerDescription): SandboxFacts {
  const labels = container.Config.Labels ?? {};
  return {
    ref: container.Id,
    name: container.Name.replace(/^\//, ''),
    state: states[container.State.Status],
    homeId: labels[labelKeys.home] as HomeId,
    taskId: (labels[labelKeys.task] || null) as TaskId | null,
    operationId: labels[labelKeys.operation] as OperationId,
    generation: Number(labels[labelKeys.generation]),
    imageId: container.Image,
    outOfMemory: container.State.OOMKilled,
    createdAt: new Date(container.Created).toISOString(),
    forgeableResults: false,
  };
}

/** The user that commands run as; part of the main process's arguments. */
export function commandUser(container: ContainerDescription): SandboxUser | undefined {
  const command = container.Config.Cmd ?? [];
  const hasShell = !startsWithoutShell(command);
  const [uid, gid] = command.slice(hasShell ? 4 : 1).map(Number);
  return uid && gid ? { uid, gid, pids: container.HostConfig.PidsLimit ?? null, hasShell } : undefined;
}

/** Whom the commands of a sandbox that is made run as. */
export function userOf({ user, limits }: SandboxPlan, hasShell: boolean): SandboxUser {
  return { ...user, pids: limits.pids, hasShell };
}
