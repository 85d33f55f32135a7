import type { Logger, SandboxMount, SandboxPlan, VolumePort } from '@opencode-tools/core';
import type { EngineClient } from '../engine/engine-client.ts';
import { type MountPolicy, checkMounts } from '../plan/check-mounts.ts';
import { trustMounts } from '../trust/system-trust.ts';
import { assertVolumes } from './assert-volumes.ts';

/**
 * Checks the mounts of a plan before its container is made.
 *
 * @returns the plan's mounts with their real sources, and those that are ours
 */
export async function prepareMounts(
  engine: { readonly client: EngineClient; readonly volumes: VolumePort; readonly logger: Logger },
  plan: SandboxPlan,
  policy: MountPolicy,
): Promise<{ readonly mounts: readonly SandboxMount[]; readonly trust: readonly SandboxMount[] }> {
  const [mounts, trust] = await Promise.all([
    checkMounts(plan.mounts, policy),
    trustMounts(engine.client, plan, engine.logger),
    assertVolumes(plan.mounts, engine.volumes),
  ]);
  return { mounts, trust };
}
