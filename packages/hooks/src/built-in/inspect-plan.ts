import { posix } from 'node:path';
import {
  type ForbiddenPlace,
  type HostFacts,
  type ResourceLimits,
  type SandboxMount,
  type SandboxPlan,
  forbiddenHostPath,
  isWithin,
} from '@opencode-tools/core';

/** One rule that a plan breaks. */
export interface PlanFault {
  readonly rule: string;
  readonly message: string;
  readonly remedy: string;
}

/** What is known of the host, by real paths, and what is asked of a plan besides. */
export interface PlanRules extends HostFacts {
  /** False admits sandboxes without limits; default true. */
  readonly requireLimits?: boolean;
}

const smallestLimits: Omit<ResourceLimits, 'workspaceBytes'> = {
  memoryBytes: 32 * 1024 ** 2,
  cpus: 0.1,
  pids: 16,
  tmpBytes: 1,
};

/** Where the sandbox keeps what commands must not replace. */
const reservedTargets = '/bin /boot /dev /etc /lib /lib32 /lib64 /libx32 /proc /run /sbin /sys /usr /var/run'.split(
  ' ',
);
const reservedExactly = ['/', '/home', '/opt', '/root', '/tmp', '/var'];

/**
 * Looks for what would make a sandbox unsafe: root, missing limits, host paths that hold secrets or the engine, mounts over
 * the sandbox's own parts. Pure: it looks at the plan and at nothing else.
 *
 * @returns the broken rules, worst first; empty for a plan that may be carried out
 */
export function inspectPlan(plan: SandboxPlan, rules: PlanRules = {}): readonly PlanFault[] {
  return [
    ...userFaults(plan),
    ...plan.mounts.flatMap((mount) => [...sourceFaults(mount, rules), ...targetFaults(mount)]),
    ...duplicateTargets(plan.mounts),
    ...(rules.requireLimits === false ? [] : limitFaults(plan.limits)),
  ];
}

function userFaults({ user }: SandboxPlan): readonly PlanFault[] {
  const isPlain = (id: number) => Number.isInteger(id) && id > 0 && id < 2 ** 32 - 1;
  if (isPlain(user.uid) && isPlain(user.gid)) return [];
  return [
    fault('no-root', `commands would run as uid ${user.uid}, gid ${user.gid}`, 'Name a user and group other than 0.'),
  ];
}

function limitFaults(limits: ResourceLimits): readonly PlanFault[] {
  return (Object.keys(smallestLimits) as (keyof typeof smallestLimits)[])
    .filter((name) => !(Number.isFinite(limits[name]) && limits[name] >= smallestLimits[name]))
    .map((name) =>
      fault('limits-required', `${name} is ${limits[name]}`, `Set ${name} to ${smallestLimits[name]} or more.`),
    );
}

function sourceFaults(mount: SandboxMount, host: HostFacts): readonly PlanFault[] {
  if (mount.kind === 'volume') return volumeFaults(mount.volume);
  const { source } = mount;
  if (!isCanonical(source)) {
    return [
      fault('canonical-source', `${source} is not a canonical absolute path`, 'Name the real path of the directory.'),
    ];
  }
  const forbidden = forbiddenHostPath(source, host);
  if (forbidden !== undefined) {
    const { rule, what, remedy } = placeFaults[forbidden.place];
    return [fault(rule, `${source} is, holds or is part of ${what}: ${forbidden.path}`, remedy)];
  }
  if (source.split('/').includes('.git') && !mount.readOnly) {
    return [
      fault(
        'git-read-only',
        `${source} would be writable`,
        'Mount parts of .git read-only: git on the host obeys what they say.',
      ),
    ];
  }
  return [];
}

const bindProject = 'Bind a project directory, or use a volume workspace.';
const placeFaults: Readonly<
  Record<ForbiddenPlace, { readonly rule: string; readonly what: string; readonly remedy: string }>
> = {
  'engine-socket': {
    rule: 'no-engine-socket',
    what: "an engine's socket",
    remedy: 'Nothing in a sandbox may drive the engine; run the step on the host.',
  },
  'host-system': { rule: 'no-host-system', what: 'what the host keeps to itself', remedy: bindProject },
  'whole-home': { rule: 'no-whole-home', what: 'a whole home directory', remedy: bindProject },
  'host-programs': {
    rule: 'no-host-programs',
    what: 'a place whose files programs of the host run or obey',
    remedy: bindProject,
  },
  credentials: {
    rule: 'no-credentials',
    what: 'credentials',
    remedy: 'Pass secrets to commands by reference, as env.',
  },
};

function volumeFaults(volume: string): readonly PlanFault[] {
  if (/^[A-Za-z0-9][A-Za-z0-9_.-]*$/.test(volume)) return [];
  return [
    fault(
      'volume-name',
      `${JSON.stringify(volume)} is no volume name`,
      'Use letters, digits, dot, dash and underscore.',
    ),
  ];
}

function targetFaults({ target }: SandboxMount): readonly PlanFault[] {
  if (!isCanonical(target)) {
    return [
      fault(
        'canonical-target',
        `${target} is not a canonical absolute path`,
        'Name an absolute path without dot segments.',
      ),
    ];
  }
  if (!reservedExactly.includes(target) && !reservedTargets.some((path) => isWithin(target, path))) return [];
  return [
    fault(
      'reserved-target',
      `a mount would cover ${target} of the sandbox`,
      'Mount below /workspace, /home/agent or the project path.',
    ),
  ];
}

function duplicateTargets(mounts: readonly SandboxMount[]): readonly PlanFault[] {
  const targets = mounts.map(({ target }) => target);
  const twice = [...new Set(targets.filter((target, index) => targets.indexOf(target) !== index))];
  return twice.map((target) =>
    fault('one-mount-per-target', `two mounts have the target ${target}`, 'Leave one of them out.'),
  );
}

function isCanonical(path: string): boolean {
  if (!path.startsWith('/') || path.includes('\0')) return false;
  return path === '/' || (posix.normalize(path) === path && !path.endsWith('/'));
}

function fault(rule: string, message: string, remedy: string): PlanFault {
  return { rule, message, remedy };
}
