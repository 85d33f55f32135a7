import { OpencodeToolsError, type ResourceLimits, type SandboxMount, type SandboxPlan } from '@opencode-tools/core';
import { laneProgramText } from '../lane/lane-program.ts';
import { controlDirectory, firstCommand, supervisorVariable } from '../lane/supervisor-command.ts';
import { fullLabels } from './labels.ts';

/**
 * The supervisor, the fence, the supervisors' notes and the spools of commands in the background are in a tmpfs that only root can
 * write. Sixteen spools that nobody empties fit.
 */
const controlBytes = 80 * 1024 ** 2;
const runBytes = 16 * 1024 ** 2;
const cpuPeriodMicroseconds = 100_000;

/** Environment that every command starts from, on top of the image's own. */
export const baseEnvironment = ['HOME=/home/agent', 'USER=agent', 'LOGNAME=agent'] as const;

/**
 * Says what to ask the engine for. `NetworkDisabled` halves the time to start, but leaves the name `localhost` to us,
 * which a read-only root file system does not let us write. Whatever an image could bring along (entry point, user,
 * health check, labels) is set explicitly, so that nothing is inherited.
 *
 * @param architecture the engine's, as it names it
 */
export function containerOptions(plan: SandboxPlan, architecture: string): Readonly<Record<string, unknown>> {
  assertPossible(plan);
  return {
    Image: plan.imageId,
    User: '0:0',
    Entrypoint: [],
    Cmd: firstCommand(plan.user),
    Env: [...baseEnvironment, `${supervisorVariable}=${laneProgramText(architecture)}`],
    WorkingDir: '/',
    Hostname: 'sandbox',
    Domainname: '',
    Labels: labelsOf(plan),
    Healthcheck: { Test: ['NONE'] },
    StopSignal: 'SIGTERM',
    Tty: false,
    OpenStdin: true,
    StdinOnce: true,
    AttachStdin: true,
    AttachStdout: true,
    AttachStderr: true,
    NetworkDisabled: plan.networkMode === 'fixed-none' && !plan.readOnlyRoot,
    HostConfig: hostOptions(plan),
  };
}

function hostOptions(plan: SandboxPlan): Readonly<Record<string, unknown>> {
  const { limits } = plan;
  return {
    ...hardening,
    Init: true,
    ReadonlyRootfs: plan.readOnlyRoot,
    ...limitOptions(limits),
    Tmpfs: {
      '/tmp': `rw,exec,nosuid,nodev,size=${limits.tmpBytes},mode=1777`,
      ...(plan.readOnlyRoot ? writableInReadOnlyRoot(plan) : {}),
      [controlDirectory]: `rw,exec,nosuid,nodev,size=${controlBytes},mode=0755`,
    },
    Mounts: [...plan.mounts, ...networkMounts(plan)].map(mountOptions),
    ...(plan.runtime === null ? {} : { Runtime: plan.runtime }),
  };
}

/** The limits that an engine can also change while the container runs; swap is part of the memory, so there is none beside it. */
export function limitOptions(limits: Pick<ResourceLimits, 'memoryBytes' | 'cpus' | 'pids'>): object {
  return {
    Memory: limits.memoryBytes,
    MemorySwap: limits.memoryBytes,
    CpuPeriod: cpuPeriodMicroseconds,
    CpuQuota: Math.round(limits.cpus * cpuPeriodMicroseconds),
    PidsLimit: limits.pids,
  };
}

/** Where programs expect to write beside the workspace, the home directory and `/tmp`. */
function writableInReadOnlyRoot({ user, limits }: SandboxPlan): Readonly<Record<string, string>> {
  return {
    '/run': `rw,noexec,nosuid,nodev,size=${runBytes},mode=0755,uid=${user.uid},gid=${user.gid}`,
    '/var/tmp': `rw,exec,nosuid,nodev,size=${limits.tmpBytes},mode=1777`,
  };
}

/**
 * What every container of ours has. The three capabilities are the supervisor's, to start commands as another user and
 * to end them; commands have none, and no way to get any.
 */
const hardening = {
  Privileged: false,
  CapDrop: ['ALL'],
  CapAdd: ['SETUID', 'SETGID', 'KILL'],
  SecurityOpt: ['no-new-privileges'],
  NetworkMode: 'none',
  IpcMode: 'private',
  PublishAllPorts: false,
  LogConfig: { Type: 'none', Config: {} },
  RestartPolicy: { Name: 'no' },
  AutoRemove: false,
} as const;

/** The labels of a sandbox. */
function labelsOf(plan: SandboxPlan): Record<string, string> {
  return fullLabels({
    home: plan.homeId,
    task: plan.taskId ?? '',
    operation: plan.operationId,
    generation: String(plan.generation),
    kind: 'sandbox',
  });
}

function mountOptions(mount: SandboxMount): Readonly<Record<string, unknown>> {
  const common = { Target: mount.target, ReadOnly: mount.readOnly };
  if (mount.kind === 'volume') {
    const driver = mount.options === undefined ? {} : { DriverConfig: { Name: 'local', Options: mount.options } };
    const options = mount.create === undefined ? { NoCopy: true } : { NoCopy: false, Labels: mount.create, ...driver };
    return { ...common, Type: 'volume', Source: mount.volume, VolumeOptions: options };
  }
  return { ...common, Type: 'bind', Source: mount.source, BindOptions: { Propagation: 'rprivate' } };
}

/** Files by which a sandbox finds the gateway; it cannot change them, nor can an image bring its own. */
function networkMounts({ networkFiles }: SandboxPlan): readonly SandboxMount[] {
  if (networkFiles === undefined) return [];
  const { nameServerFile, trustDirectory } = networkFiles;
  return [
    { kind: 'bind', source: nameServerFile, target: '/etc/resolv.conf', readOnly: true },
    { kind: 'bind', source: trustDirectory, target: '/run/opencode-tools', readOnly: true },
  ];
}

/** @throws OpencodeToolsError `OCT_INVALID_ARGUMENT` for a plan that no engine can carry out */
export function assertPossible(plan: SandboxPlan): void {
  if (plan.user.uid > 0 && plan.user.gid > 0) return;
  throw new OpencodeToolsError('OCT_INVALID_ARGUMENT', `Commands cannot run as ${plan.user.uid}:${plan.user.gid}`, {
    remedy: 'Give a user and a group other than 0.',
    details: { argument: 'user' },
  });
}
