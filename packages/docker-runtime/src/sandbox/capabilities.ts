import { OpencodeToolsError, type RuntimeCapabilities, type SandboxPlan } from '@opencode-tools/core';
import type { FoundEngine } from '../engine/engine.ts';
import { lanePrograms } from '../lane/lane-programs.ts';

interface EngineInfo {
  readonly ID?: string;
  readonly SecurityOptions?: readonly string[] | null;
  readonly MemoryLimit?: boolean;
  readonly CpuCfsQuota?: boolean;
  readonly PidsLimit?: boolean;
  readonly Runtimes?: Readonly<Record<string, unknown>> | null;
  readonly Driver?: string;
  readonly CgroupVersion?: string;
  readonly Plugins?: { readonly Network?: readonly string[] | null };
}

interface EngineVersion {
  readonly Version?: string;
  readonly ApiVersion?: string;
  readonly Arch?: string;
  readonly Platform?: { readonly Name?: string };
  readonly Components?: readonly { readonly Name?: string }[] | null;
}

/** Asks an engine what it can do. */
export async function askCapabilities({ client, endpoint, apiVersion }: FoundEngine): Promise<RuntimeCapabilities> {
  const [info, version] = await Promise.all([
    client.call<EngineInfo>({ method: 'GET', path: '/info' }),
    client.call<EngineVersion>({ method: 'GET', path: '/version' }),
  ]);
  return capabilitiesOf(info, { ...version, ApiVersion: apiVersion }, endpoint.url);
}

/** Reads what an engine can do off its own answers. */
export function capabilitiesOf(info: EngineInfo, version: EngineVersion, endpoint: string): RuntimeCapabilities {
  const secured = (name: string): boolean =>
    (info.SecurityOptions ?? []).some((option) => option.split(',').includes(`name=${name}`));
  return {
    engine: {
      name: version.Platform?.Name || 'Docker Engine',
      version: version.Version ?? '',
      apiVersion: version.ApiVersion ?? '',
      rootless: secured('rootless'),
      endpoint,
      id: info.ID || endpoint,
    },
    limits: {
      memory: info.MemoryLimit === true,
      cpu: info.CpuCfsQuota === true,
      pids: info.PidsLimit === true,
      disk: false,
    },
    seccomp: secured('seccomp'),
    noRoute: isPodman(version) || (info.Plugins?.Network ?? []).includes('null'),
    userNamespaces: secured('userns') || secured('rootless'),
    runtimes: Object.keys(info.Runtimes ?? {}),
    storageDriver: info.Driver ?? '',
    cgroupVersion: info.CgroupVersion === '2' ? '2' : '1',
    imagesWithoutShell: (version.Arch ?? '') in lanePrograms ? 'programs' : 'none',
  };
}

/** Podman has containers without a network, but lists no driver for it. */
function isPodman({ Components: parts }: EngineVersion): boolean {
  return (parts ?? []).some(({ Name }) => /podman/i.test(Name ?? ''));
}

/**
 * Refuses a plan that the engine could only carry out with less protection than it asks for.
 *
 * @throws OpencodeToolsError `OCT_CAPABILITY_UNSUPPORTED`
 */
export function assertCapable(can: RuntimeCapabilities, plan: SandboxPlan, requireLimits: boolean): void {
  if (!can.seccomp) throw unsupported('filters no system calls (seccomp)', 'seccomp');
  if (plan.networkMode !== 'policy' && !can.noRoute) throw unsupported('has no containers without a route', 'noRoute');
  if (requireLimits && !can.limits.memory) throw unsupported('cannot limit memory', 'memory');
  if (requireLimits && !can.limits.cpu) throw unsupported('cannot limit processor time', 'cpu');
  if (requireLimits && !can.limits.pids) throw unsupported('cannot limit processes', 'pids');
  if (plan.runtime !== null && !can.runtimes.includes(plan.runtime)) {
    throw unsupported(`has no runtime ${plan.runtime} (it has ${can.runtimes.join(', ')})`, 'runtime');
  }
}

function unsupported(what: string, capability: string): OpencodeToolsError {
  return new OpencodeToolsError('OCT_CAPABILITY_UNSUPPORTED', `The engine ${what}`, {
    remedy: 'Use an engine that can; `opencode-tools doctor` lists what this one does.',
    details: { capability },
  });
}
