import type { SandboxPlan } from '@opencode-tools/core';
import { assertSameMounts, ownMounts } from '../plan/read-back-mounts.ts';
import type { SandboxInside } from './sandbox-inside.ts';

/**
 * Sees to it that a started sandbox has the host directories that were judged, before anything of a caller runs in it. Runtimes
 * with a kernel of their own show other mounts than the host's, and engines elsewhere other files: there nothing is compared.
 *
 * @throws OpencodeToolsError `OCT_POLICY_DENIED`
 */
export async function readBackMounts(link: SandboxInside, plan: SandboxPlan, comparable: boolean): Promise<void> {
  if (!comparable || plan.runtime !== null || plan.mounts.every(({ kind }) => kind !== 'bind')) return;
  assertSameMounts(plan.mounts, await link.readMounts(), await ownMounts());
}
