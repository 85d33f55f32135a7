import type { ArchiveRequest, Archived, FrozenLayers, LeftOut } from '@opencode-tools/core';
import { type Addition, addRequest, copyRequest, finishRequest, listRequest, scriptRequest } from './layer-requests.ts';
import { wholeScript } from './layer-scripts.ts';
import { sizeOf } from './layer-size.ts';
import { type ArchivePlan, planFirst, planNext } from './plan-archive.ts';
import { parseChange, parseListed, parseListing } from './upper-listing.ts';

/** What an archive is made with. */
export interface ArchiveTools {
  ask(request: Buffer): Promise<Buffer>;
  /** Copies the tree that a volume shows into a new layer; all but what lies too deep where it is deep. */
  copyMounted(volume: string, layer: string, names: readonly string[], isDeep: boolean): Promise<void>;
}

/** Lists the upper, decides what has changed, and copies that into a new layer. */
export async function archiveUpper(tools: ArchiveTools, request: ArchiveRequest): Promise<Archived> {
  const { stack, layer, volume, signal } = request;
  const { plan, all, leftOut } = await planOf(tools, request);
  signal?.throwIfAborted();
  if (plan.kind === 'same') return { kind: 'same' };
  const made = (onto: 'previous' | 'lowers' | 'nothing', said: Buffer): Archived => ({
    kind: 'layer',
    onto,
    ...sizeOf(said),
    ...(leftOut === undefined ? {} : { leftOut }),
  });
  const onPrevious = request.onPrevious ?? { layers: [request.previous ?? '', ...stack.lowers] };
  const onLowers = { layers: stack.lowers, holds: request.lowersHold };
  const add = async (on: FrozenLayers, addition: Addition): Promise<Buffer> => {
    const count = addition.copy.length + addition.attributes.length + addition.gone.length;
    const how = count >= (request.packFrom ?? Infinity) ? 'pack' : 'add';
    return tools.ask(addRequest(stack.upper, layer, on, addition, how));
  };
  if (plan.kind === 'add') return made('previous', await add(onPrevious, plan));
  if (plan.kind === 'whole' && all !== undefined)
    return made('lowers', await add(onLowers, { copy: all, attributes: [], gone: [] }));
  const isDeep = leftOut !== undefined;
  if (plan.kind === 'merged') await tools.copyMounted(volume, layer, [stack.upper, ...stack.lowers], isDeep);
  else await tools.ask(isDeep ? copyRequest(stack.upper, layer) : scriptRequest(wholeScript(stack.upper, layer)));
  const on = plan.kind === 'merged' ? { layers: [] } : onLowers;
  return made(plan.kind === 'merged' ? 'nothing' : 'lowers', await tools.ask(finishRequest(stack.upper, layer, on)));
}

interface Planned {
  readonly plan: ArchivePlan;
  /** The names in the upper where they were all told. */
  readonly all?: readonly string[];
  readonly leftOut: LeftOut | undefined;
}

async function planOf(tools: ArchiveTools, request: ArchiveRequest): Promise<Planned> {
  const { indexed, isAll, leftOut, lines } = parseListed(
    await tools.ask(listRequest(request.stack.upper, request.previous)),
  );
  if (isAll) {
    const entries = parseListing(lines);
    return {
      plan: planFirst(entries, request.root),
      all: entries.filter(({ part }) => part !== 'x').map(({ path }) => path),
      leftOut,
    };
  }
  const { change, marks } = parseChange(lines);
  const plan = planNext(change, marks, indexed);
  if (plan.kind !== 'add' || request.mayAdd) return { plan, leftOut };
  return { plan: { kind: indexed ? 'merged' : 'whole' }, leftOut };
}
