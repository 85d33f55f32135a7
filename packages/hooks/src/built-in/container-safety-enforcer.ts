import { realpath } from 'node:fs/promises';
import type { SandboxPlan } from '@opencode-tools/core';
import { HookRejection } from '../hook-rejection.ts';
import type { Hook } from '../hook.ts';
import { type PlanFault, type PlanRules, inspectPlan } from './inspect-plan.ts';

/**
 * Refuses to make a sandbox that could reach the host: see `inspectPlan` for the rules. Sources of bind mounts must also be
 * real paths on this host, so that no symbolic link leads elsewhere.
 */
export function containerSafetyEnforcer(rules: PlanRules = {}): Hook {
  return {
    name: 'container-safety-enforcer',
    points: ['sandbox:creating'],
    order: 1_000,
    run: async ({ plan }) => {
      if (plan === undefined) throw new HookRejection('No plan of the sandbox to inspect.', 'Report this as a defect.');
      const [first, ...others] = [...inspectPlan(plan, await realRules(rules)), ...(await linkedSources(plan))];
      if (first === undefined) return `checked user, limits and ${plan.mounts.length} mounts`;
      const more = others.length > 0 ? ` (and ${others.map(({ rule }) => rule).join(', ')})` : '';
      throw new HookRejection(`Rule ${first.rule}: ${first.message}${more}.`, first.remedy);
    },
  };
}

async function realRules({
  userHomes = [],
  sockets = [],
  protectedPaths = [],
  ...rest
}: PlanRules): Promise<PlanRules> {
  const real = (paths: readonly string[]): Promise<readonly string[]> =>
    Promise.all(paths.map((path) => realpath(path).catch(() => path)));
  return {
    ...rest,
    userHomes: await real(userHomes),
    sockets: await real(sockets),
    protectedPaths: await real(protectedPaths),
  };
}

async function linkedSources({ mounts }: SandboxPlan): Promise<readonly PlanFault[]> {
  const faults: PlanFault[] = [];
  for (const mount of mounts) {
    if (mount.kind !== 'bind') continue;
    const actual = await realpath(mount.source).catch(() => null);
    if (actual === mount.source) continue;
    const message = actual === null ? `${mount.source} does not exist` : `${mount.source} leads to ${actual}`;
    faults.push({ rule: 'real-source', message, remedy: 'Name the real path of an existing directory.' });
  }
  return faults;
}
