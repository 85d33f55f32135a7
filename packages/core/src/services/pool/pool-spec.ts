import type { HomeId, OperationId } from '../../domain/ids.ts';
import { shortId } from '../../domain/ids.ts';
import { asJson } from '../../domain/json.ts';
import type { ProcessRef } from '../../domain/operation.ts';
import type { PooledSandbox } from '../../domain/pooled-sandbox.ts';
import { canonicalJson } from '../../ledger/canonical-json.ts';
import { sha256 } from '../../ledger/chain.ts';
import type { SandboxMount, SandboxPlan } from '../../ports/sandbox-runtime.ts';
import { type PlanFacts, type StartingPoint, sandboxLabels } from '../sandbox-plan.ts';

/** What a sandbox of the pool is made like: a plan whose names are replaced, and what fills its volumes. */
export interface PoolSpec {
  readonly key: string;
  readonly plan: SandboxPlan;
  readonly workspaceVolume: string;
  readonly homeVolume: string;
  readonly start: StartingPoint;
}

/**
 * Says what a pooled sandbox would have to be like to serve in place of this one; undefined when none can: a directory of
 * the host cannot be mounted later, and volumes that hold work are mounted as they are.
 */
export function poolSpec(plan: SandboxPlan, facts: PlanFacts, start: StartingPoint): PoolSpec | undefined {
  const { workspaceVolume, homeVolume } = facts;
  if (workspaceVolume === null || plan.mounts.some((mount) => mount.kind === 'bind')) return undefined;
  const spec = { plan, workspaceVolume, homeVolume, start };
  return { ...spec, key: keyOf(spec) };
}

/** Everything that is fixed when a container is made, whatever members a plan will have; not whose it is. */
function keyOf({ plan, workspaceVolume, homeVolume, start }: Omit<PoolSpec, 'key'>): string {
  const {
    name: _name,
    taskId: _task,
    operationId: _operation,
    generation: _generation,
    fence: _fence,
    ...fixed
  } = plan;
  const content = (mount: SandboxMount): string | null => {
    if (mount.kind !== 'volume') return null;
    if (mount.volume === workspaceVolume) return `workspace ${start.workspace?.id ?? 'empty'}`;
    return mount.volume === homeVolume ? `home ${start.home?.id ?? 'empty'}` : mount.volume;
  };
  const mounts = plan.mounts.map((mount) => ({
    target: mount.target,
    readOnly: mount.readOnly,
    content: content(mount),
  }));
  return sha256(canonicalJson(asJson({ ...fixed, mounts })));
}

/** A new entry, whose names hold its id. */
export function newEntry(id: OperationId, spec: PoolSpec, owner: ProcessRef, at: string): PooledSandbox {
  const name = `oct-pool-${shortId(id)}`;
  return {
    id,
    key: spec.key,
    state: 'filling',
    version: 1,
    owner,
    name,
    ref: null,
    imageId: spec.plan.imageId,
    workspaceVolume: `${name}-workspace`,
    homeVolume: `${name}-home`,
    claim: null,
    createdAt: at,
  };
}

/** The plan of a pooled sandbox: like the one that it stands for, nobody's, and closed to every command. */
export function pooledPlan(spec: PoolSpec, entry: PooledSandbox): SandboxPlan {
  const { plan } = spec;
  const renamed = (mount: SandboxMount): SandboxMount => {
    if (mount.kind !== 'volume') return mount;
    const workspace = mount.volume === spec.workspaceVolume;
    if (!workspace && mount.volume !== spec.homeVolume) return mount;
    const { create, ...rest } = mount;
    const volume = workspace ? entry.workspaceVolume : entry.homeVolume;
    if (create === undefined) return { ...rest, volume };
    return { ...rest, volume, create: pooledLabels(plan.homeId, entry, workspace ? 'workspace' : 'home') };
  };
  return {
    ...plan,
    name: entry.name,
    taskId: null,
    operationId: entry.id,
    generation: 0,
    mounts: plan.mounts.map(renamed),
    fence: null,
  };
}

export function pooledLabels(homeId: HomeId, entry: PooledSandbox, kind: string): Readonly<Record<string, string>> {
  return sandboxLabels(homeId, null, entry.id, kind);
}
