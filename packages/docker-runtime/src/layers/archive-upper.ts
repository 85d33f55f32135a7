import type { ArchiveRequest, Archived } from '@opencode-tools/core';
import { type Addition, addRequest, finishRequest, listRequest, scriptRequest } from './layer-requests.ts';
import { wholeScript } from './layer-scripts.ts';
import { sizeOf } from './layer-size.ts';
import { type ArchivePlan, planFirst, planNext } from './plan-archive.ts';
import { parseChange, parseListing } from './upper-listing.ts';

/** What an archive is made with. */
export interface ArchiveTools {
  ask(request: Buffer): Promise<Buffer>;
  /** Copies the tree that a volume shows into a new layer. */
  copyMounted(volume: string, layer: string, names: readonly string[]): Promise<void>;
}

/** Lists the upper, decides what has changed, and copies that into a new layer. */
export async function archiveUpper(tools: ArchiveTools, request: ArchiveRequest): Promise<Archived> {
  const { stack, layer, volume, signal } = request;
  const { plan, all } = await planOf(tools, request);
  signal?.throwIfAborted();
  if (plan.kind === 'same') return { kind: 'same' };
  const made = (onto: 'previous' | 'lowers' | 'nothing', said: Buffer): Archived => ({
    kind: 'layer',
    onto,
    ...sizeOf(said),
  });
  const add = async (addition: Addition): Promise<Buffer> => {
    const count = addition.copy.length + addition.attributes.length + addition.gone.length;
    const how = count >= (request.packFrom ?? Infinity) ? 'pack' : 'add';
    return tools.ask(addRequest(stack.upper, layer, addition, how));
  };
  if (plan.kind === 'add') return made('previous', await add(plan));
  if (plan.kind === 'whole' && all !== undefined)
    return made('lowers', await add({ copy: all, attributes: [], gone: [] }));
  if (plan.kind === 'merged') await tools.copyMounted(volume, layer, [stack.upper, ...stack.lowers]);
  else await tools.ask(scriptRequest(wholeScript(stack.upper, layer)));
  return made(plan.kind === 'merged' ? 'nothing' : 'lowers', await tools.ask(finishRequest(stack.upper, layer)));
}

/** What is to be done, and the names in the upper where they were all told. */
async function planOf(
  tools: ArchiveTools,
  request: ArchiveRequest,
): Promise<{ readonly plan: ArchivePlan; readonly all?: readonly string[] }> {
  const listed = await tools.ask(listRequest(request.stack.upper, request.previous));
  const [indexed = '', what = ''] = listed.toString('latin1', 0, 64).split('\0', 2);
  const rest = listed.subarray(indexed.length + what.length + 2);
  if (what === 'all') {
    const entries = parseListing(rest);
    return { plan: planFirst(entries, request.root), all: entries.map(({ path }) => path) };
  }
  const { change, marks } = parseChange(rest);
  const plan = planNext(change, marks, Number(indexed) > 0);
  if (plan.kind !== 'add' || request.mayAdd) return { plan };
  return { plan: { kind: Number(indexed) > 0 ? 'merged' : 'whole' } };
}
