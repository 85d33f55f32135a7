import type { Logger, SandboxMount, SandboxPlan, VolumePort } from '@opencode-tools/core';
import type { EngineClient } from '../engine/engine-client.ts';
import { type MountPolicy, checkMounts } from '../plan/check-mounts.ts';
import { trustMounts } from '../trust/system-trust.ts';
import { type FreshVolume, foreignVolumes } from '../volumes/own-volumes.ts';
import { assertVolumes } from './assert-volumes.ts';

export interface PreparedMounts {
  /** The plan's mounts with their real sources. */
  readonly mounts: readonly SandboxMount[];
  /** Those that are ours. */
  readonly trust: readonly SandboxMount[];
  /** What `ownVolumes` has to do. */
  readonly foreign: readonly FreshVolume[];
}

/** Checks the mounts of a plan before its container is made. */
export async function prepareMounts(
  engine: { readonly client: EngineClient; readonly volumes: VolumePort; readonly logger: Logger },
  plan: SandboxPlan,
  policy: MountPolicy,
): Promise<PreparedMounts> {
  const [mounts, trust, foreign] = await Promise.all([
    checkMounts(plan.mounts, policy),
    trustMounts(engine.client, plan, engine.logger),
    foreignVolumes(engine.client, plan),
    assertVolumes(plan.mounts, engine.volumes),
  ]);
  return { mounts, trust, foreign };
}
