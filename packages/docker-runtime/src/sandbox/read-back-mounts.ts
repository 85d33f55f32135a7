import type { SandboxPlan } from '@opencode-tools/core';
import { readOutput } from '../lane/read-output.ts';
import { assertSameMounts, ownMounts } from '../plan/read-back-mounts.ts';
import type { SandboxLink } from './sandbox-link.ts';

const limits = { bytes: 1024 ** 2, ms: 20_000 };
const script = 'while IFS= read -r l; do printf "%s\\n" "$l"; done </proc/self/mountinfo';

/**
 * Sees to it that a started sandbox has the host directories that were judged, before anything of a caller runs in it. Runtimes
 * with a kernel of their own show other mounts than the host's, and engines elsewhere other files: there nothing is compared.
 *
 * @throws OpencodeToolsError `OCT_POLICY_DENIED`
 */
export async function readBackMounts(link: SandboxLink, plan: SandboxPlan, comparable: boolean): Promise<void> {
  if (!comparable || plan.runtime !== null || plan.mounts.every(({ kind }) => kind !== 'bind')) return;
  const { uid, gid } = link.user;
  const options = { user: `${uid}:${gid}`, env: [], argv: ['/bin/sh', '-c', script] };
  const inside = await readOutput(await link.containers.exec(link.id, options), limits);
  assertSameMounts(plan.mounts, inside, await ownMounts());
}
