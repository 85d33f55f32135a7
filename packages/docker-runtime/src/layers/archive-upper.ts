import { Readable } from 'node:stream';
import type { ArchiveRequest, Archived } from '@opencode-tools/core';
import { type Header, extract } from 'tar-stream';
import * as scripts from './layer-scripts.ts';
import { type ArchivePlan, type DirectoryMarks, changedDirectories, planFirst, planNext } from './plan-archive.ts';
import { parseChange, parseListing } from './upper-listing.ts';
import { sizeOf } from './layer-size.ts';
import { whiteouts } from './whiteouts.ts';

/** What an archive is made with. */
export interface ArchiveTools {
  run(script: string, input?: Uint8Array): Promise<Buffer>;
  /** Copies the tree that a volume shows into a new layer. */
  copyMounted(volume: string, layer: string, names: readonly string[]): Promise<void>;
}

/** Lists the upper, decides what has changed, and copies that into a new layer. */
export async function archiveUpper(tools: ArchiveTools, request: ArchiveRequest): Promise<Archived> {
  const { stack, layer, volume, signal } = request;
  const plan = await planOf(tools, request);
  signal?.throwIfAborted();
  if (plan.kind === 'same') return { kind: 'same' };
  const made = (onto: 'previous' | 'lowers' | 'nothing', said: Buffer): Archived => ({
    kind: 'layer',
    onto,
    ...sizeOf(said),
  });
  if (plan.kind === 'merged') {
    await tools.copyMounted(volume, layer, [stack.upper, ...stack.lowers]);
    return made('nothing', await tools.run(scripts.finishScript(stack.upper, layer)));
  }
  if (plan.kind !== 'add') return made('lowers', await tools.run(scripts.wholeScript(stack.upper, layer)));
  const copy = nameList(plan.copy);
  const gone = plan.gone.length === 0 ? Buffer.alloc(0) : whiteouts(plan.gone);
  const attributes = nameList(plan.attributes);
  const bytes = { copy: copy.length, gone: gone.length, attributes: attributes.length };
  const script = scripts.addScript(stack.upper, layer, bytes);
  return made('previous', await tools.run(script, Buffer.concat([copy, gone, attributes])));
}

async function planOf(tools: ArchiveTools, request: ArchiveRequest): Promise<ArchivePlan> {
  const { upper } = request.stack;
  const listed = await tools.run(scripts.listScript(upper, request.previous));
  const [indexed = '', what = ''] = listed.toString('latin1', 0, 64).split('\0', 2);
  const rest = listed.subarray(indexed.length + what.length + 2);
  if (what === 'all') return planFirst(parseListing(rest), request.root);
  const change = parseChange(rest);
  const marks = await marksOf(tools, upper, changedDirectories(change));
  const plan = planNext(change, marks, Number(indexed) > 0);
  if (plan.kind !== 'add' || request.mayAdd) return plan;
  return { kind: Number(indexed) > 0 ? 'merged' : 'whole' };
}

/** What the overlay notes on some directories, read off a tar of them. */
async function marksOf(
  tools: ArchiveTools,
  upper: string,
  directories: readonly string[],
): Promise<ReadonlyMap<string, DirectoryMarks>> {
  const marks = new Map<string, DirectoryMarks>();
  if (directories.length === 0) return marks;
  const names = nameList(directories);
  const tar = await tools.run(scripts.marksScript(upper, names.length), names);
  const members = Readable.from([tar]).pipe(extract());
  const left = directories.values();
  for await (const member of members as AsyncIterable<{ header: Header; resume(): void }>) {
    const { pax } = member.header as { pax?: Readonly<Record<string, string>> | null };
    const has = (name: string): boolean => pax?.[`SCHILY.xattr.trusted.overlay.${name}`] !== undefined;
    const { value } = left.next();
    if (value !== undefined) marks.set(value, { opaque: has('opaque'), redirected: has('redirect') });
    member.resume();
  }
  if (marks.size < directories.length) throw new Error('Directories changed while they were archived');
  return marks;
}

/** Names as tar reads them: each with a zero at its end, the top directory as a dot. */
function nameList(paths: readonly string[]): Buffer {
  return Buffer.from(paths.map((path) => `./${path}\0`).join(''), 'latin1');
}
