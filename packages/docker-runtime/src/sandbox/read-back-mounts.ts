import type { FileAccess, SandboxPlan } from '@opencode-tools/core';
import { assertSameMounts, otherMount, ownMounts } from '../plan/read-back-mounts.ts';
import { runCommand } from './run-command.ts';
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

/** Runtimes that show the mounts of the host's kernel. */
const ownKernel: ReadonlySet<string | undefined> = new Set([undefined, '', 'runc', 'crun', 'io.containerd.runc.v2']);

/** Whether a running sandbox has the directories of the host that the paths of its mounts name now. */
export async function mountsStand(
  link: SandboxInside,
  access: FileAccess | undefined,
  sharesFiles: () => Promise<boolean>,
): Promise<boolean> {
  const { HostConfig } = await link.describe();
  const mounts = (HostConfig.Mounts ?? []).flatMap(({ Type, Source, Target }) =>
    Type === 'bind' && Source !== undefined ? [{ source: Source, target: Target }] : [],
  );
  if (mounts.length === 0 || !ownKernel.has(HostConfig.Runtime) || !(await sharesFiles())) return true;
  const inside = access === undefined ? await link.readMounts() : await mountsInside(link, access);
  return otherMount(mounts, inside, await ownMounts()) === undefined;
}

/** By a lane, or where the image has no such program as when the sandbox was made. */
async function mountsInside(link: SandboxInside, { executionId, token, signal }: FileAccess): Promise<string> {
  const chunks: Buffer[] = [];
  const { exitCode } = await runCommand(link, {
    executionId,
    token,
    command: { kind: 'argv', argv: ['cat', '/proc/self/mountinfo'] },
    cwd: '/',
    env: {},
    onStdout: (chunk) => void chunks.push(Buffer.from(chunk)),
    onStderr: () => undefined,
    ...(signal === undefined ? {} : { signal }),
  });
  return exitCode === 0 ? Buffer.concat(chunks).toString('utf8') : link.readMounts();
}
